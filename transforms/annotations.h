#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace iron::transforms {

/// What a transform says of itself in the record: one JSON object whose keys come in byte order.
/// For those whose work dwarfs it; the steady ones write theirs by hand.
class Annotations {
 public:
  Annotations& text(std::string_view key, std::string_view value);
  Annotations& integer(std::string_view key, std::int64_t value);
  Annotations& texts(std::string_view key, const std::vector<std::string>& values);
  /// Replaces `out`.
  void write(std::string& out) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;  ///< as JSON
};

}  // namespace iron::transforms
