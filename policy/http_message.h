#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace iron {

/// ASCII case-insensitive equality: field names, tokens, host names.
bool iequals(std::string_view a, std::string_view b);

/// One field line. Both views point into the head buffer of the message, or into memory that lives
/// as long as the configuration snapshot (names and values that a transform wrote).
struct Field {
  std::string_view name;   ///< as received, casing kept
  std::string_view value;  ///< without surrounding blanks
  /// 0, or 1 + index into Exchange::field_rewrites: what leaves instead of `value`.
  std::uint32_t rewrite = 0;
};

/// Fields of a head in order of arrival, duplicates kept (RFC 9110 section 5.3).
class Headers {
 public:
  void clear() { fields_.clear(); }
  void add(std::string_view name, std::string_view value) { fields_.push_back({name, value, 0}); }
  /// First field of that name, compared without case; null if absent.
  const Field* find(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  std::vector<Field>& all() { return fields_; }
  const std::vector<Field>& all() const { return fields_; }
  std::size_t size() const { return fields_.size(); }
  /// Removes every field for which `gone(field)` holds; order of the rest is kept.
  template <class Gone>
  std::size_t remove_if(Gone gone) {
    return std::erase_if(fields_, gone);
  }

 private:
  std::vector<Field> fields_;
};

/// Request head as parsed: views into the head buffer.
struct Request {
  std::string_view method;
  std::string_view target;  ///< byte for byte as received
  int minor_version = 1;    ///< HTTP/1.x
  Headers headers;
};

/// Answer head as parsed: views into the head buffer.
struct Response {
  int status = 0;
  int minor_version = 1;
  std::string_view reason;
  Headers headers;
};

}  // namespace iron
