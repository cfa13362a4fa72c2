#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "policy/secret/secret.h"

namespace iron::transforms {

struct FormPair {
  std::string_view name, value;
};

/// `application/x-www-form-urlencoded` in the order given: letters, digits and `-_.~` stay, a blank
/// becomes `+`, all else is percent-encoded in upper case.
Secret write_form(std::span<const FormPair> pairs);

/// Whether every escape of `text` is whole and no `;` stands in it, which some take for `&`.
bool is_form(std::string_view text);
/// The value of the first pair of that name, decoded; nothing if there is none. `form` is one.
std::optional<Secret> form_value(std::string_view form, std::string_view name);

}  // namespace iron::transforms
