#pragma once

#include <string>
#include <string_view>

namespace iron::policy {

/// `text` in double quotes as error texts show it: `"` and `\` escaped, controls as `\n`, `\t`,
/// `\x01`, bytes that are not UTF-8 as `\xff`, everything else raw.
std::string quoted(std::string_view text);

/// Length of the valid UTF-8 sequence at the front of `text`: 1 to 4, or 0 if it is not one
/// (overlong forms, surrogates and code points above U+10FFFF are not). `text` is not empty.
std::size_t utf8_sequence(std::string_view text);

}  // namespace iron::policy
