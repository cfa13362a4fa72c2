#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iron::fuzz::reference {

/// Slow and plain versions of what the product does fast, written from docs/policy.md alone.

/// Code points of `text`; each byte that is not UTF-8 is U+FFFD.
std::vector<char32_t> code_points(std::string_view text);

/// A part of a glob. Literals are bytes, `?` and classes are for code points.
struct GlobPart {
  enum class Kind { one, any_one, one_of, none_of } kind = Kind::one;
  char byte = 0;
  std::vector<std::pair<char32_t, char32_t>> ranges;
};
/// A glob as what stands between its `*`; nothing if it is malformed.
std::optional<std::vector<std::vector<GlobPart>>> parse_glob(std::string_view pattern);
bool glob_matches(std::string_view pattern, std::string_view text);

/// ASCII lower case without one trailing dot.
std::string folded(std::string_view host);
/// A pattern of `domains` against a folded host.
bool host_matches(std::string_view pattern, std::string_view folded_host);

/// Decodes once; nothing if a `%` is not followed by two hexadecimal digits.
std::optional<std::string> decoded(std::string_view text);
/// Decodes what can be decoded and leaves the rest.
std::string decoded_leniently(std::string_view text);
/// Decodes, except for `%2F` and `%5C`, which stay in this spelling.
std::optional<std::string> decoded_but_separators(std::string_view text);
/// A pattern of `paths` against a path.
bool path_matches(std::string_view pattern, std::string_view path);
bool has_dot_segments(std::string_view decoded_path, bool strict);
/// Without the segments between slashes that are `.`; the last one leaves its slash.
std::string without_dots(std::string_view raw_path);

std::string base64(std::string_view bytes);
/// Nothing for what is not canonical base64 with its padding.
std::optional<std::string> from_base64(std::string_view text);
/// `text` with each `what` replaced, left to right.
std::string replaced(std::string_view text, std::string_view what, std::string_view with);
std::size_t occurrences(std::string_view text, std::string_view what);

}  // namespace iron::fuzz::reference
