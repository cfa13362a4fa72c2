#pragma once

#include <string_view>
#include <vector>

#include "policy/result.h"
#include "policy/secret/secret.h"

namespace iron::transforms {

/// The string member `key` of the JSON object in `text`, unescaped; of equal keys the last counts.
/// Errors: `secret value is not valid JSON: …`, `key "k" not found in JSON`, `key "k" is not a
/// string (type float64)`; they quote nothing of the text. Works on the secret bytes alone: no copy
/// is left outside a Secret.
Result<Secret> json_string_member(const Secret& text, std::string_view key);

}  // namespace iron::transforms
