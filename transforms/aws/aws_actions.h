#pragma once

#include <optional>
#include <string>

#include "transforms/exchange.h"

namespace iron::transforms {

/// Whether this service hands out keys that work without this program.
bool issues_aws_keys(std::string_view service);
/// The action of a call to it that is not known to hand out none; nothing if all that the call
/// names are. A form in its body is loaded. The text is the client's, cut.
std::optional<std::string> key_issuing_action(const Exchange& exchange);

}  // namespace iron::transforms
