#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iron::policy {

/// Appends `text` as a JSON string with quotes, escaped as docs/records.md says: `"` `\` and
/// controls are escaped, U+2028/2029 too, each invalid UTF-8 byte becomes \ufffd, everything else
/// stays raw.
void append_json_string(std::string& out, std::string_view text);
/// Bytes that one character may become there.
constexpr std::size_t kLongestJsonEscape = 6;
/// Writes to `out` what stands there for the character at the front of `text`, which is not empty,
/// and takes it off.
char* put_json_character(char* out, std::string_view& text);
/// Whether append_json_string() would write `text` as it is, between quotes.
bool is_plain_json(std::string_view text);
void append_json_integer(std::string& out, std::int64_t value);
/// Milliseconds with at most three decimals from whole, truncated microseconds: `454.83`, `3`,
/// `0.002`.
void append_json_milliseconds(std::string& out, std::int64_t nanoseconds);

}  // namespace iron::policy
