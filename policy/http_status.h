#pragma once

#include <string_view>

namespace iron {

/// The usual words of a status code (RFC 9110 section 15); empty for one without.
std::string_view status_reason(int status);

}  // namespace iron
