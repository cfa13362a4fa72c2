#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace iron::transforms {

/// A token of RFC 9110 section 5.6.2: what a field name may be.
bool is_token(std::string_view name);
/// `x-api-key` → `X-Api-Key`: the form in which records name fields. What is no token stays as it
/// is.
void append_canonical_name(std::string& out, std::string_view name);
std::string canonical_name(std::string_view name);
/// Byte order of the canonical forms: negative, zero, positive.
int compare_canonical(std::string_view a, std::string_view b);

/// Fields that carry credentials by their name, which no record ever shows injected.
bool is_credential_field(std::string_view name);

/// `Host` and `Transfer-Encoding`, which no transform sees as fields.
bool is_outside_field_set(std::string_view name);

/// A list of field names: literals, compared without case, and `/regular expressions/` that are
/// searched in the canonical name.
class HeaderMatcher {
 public:
  HeaderMatcher();
  ~HeaderMatcher();
  HeaderMatcher(HeaderMatcher&&) noexcept;
  HeaderMatcher& operator=(HeaderMatcher&&) noexcept;

  /// Throws ConfigError `invalid KEY regex "/(/": error parsing regexp: …`.
  void add(const std::string& entry, std::string_view key);
  bool empty() const { return items_.empty(); }
  /// Index of the first entry that matches.
  std::optional<std::uint32_t> find(std::string_view name) const;
  /// The entry as configured if it is a literal; empty for a regular expression.
  std::string_view literal(std::uint32_t index) const { return items_[index].literal; }

 private:
  struct Item {
    std::string literal;
    std::unique_ptr<re2::RE2> regex;
  };
  std::vector<Item> items_;
  bool has_regex_ = false;
};

}  // namespace iron::transforms
