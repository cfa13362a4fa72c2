#pragma once

#include <optional>
#include <string_view>

#include "policy/secret/secret.h"

namespace iron::transforms {

/// The string member `key` of the JSON object in `text`, unescaped. Nothing if `text` is not one
/// valid JSON object, has no such member, or the member is no string; of equal keys the last
/// counts. Works on the secret bytes alone: no copy is left outside a Secret.
std::optional<Secret> json_string_member(const Secret& text, std::string_view key);

}  // namespace iron::transforms
