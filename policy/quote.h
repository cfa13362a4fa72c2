#pragma once

#include <string>
#include <string_view>

namespace iron::policy {

/// `text` in double quotes as error texts show it: `"` and `\` escaped, controls as `\n`, `\t`,
/// `\x01`, bytes that are not UTF-8 as `\xff`, everything else raw.
std::string quoted(std::string_view text);

}  // namespace iron::policy
