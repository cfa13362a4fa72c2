#pragma once

#include <string_view>

namespace iron::policy {

/// Shell-style match of docs/policy.md over the whole text: `*` and `?` do not cross `/`, classes
/// `[a-z]` `[^a]`, `\c` literal; works on Unicode code points. A malformed pattern never matches.
/// Linear in pattern × text, no recursion.
bool glob_match(std::string_view pattern, std::string_view text);
bool glob_well_formed(std::string_view pattern);

}  // namespace iron::policy
