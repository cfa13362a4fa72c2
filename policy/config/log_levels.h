#pragma once

#include <array>
#include <string_view>

namespace iron::policy {

/// The values of `log.level`, from the one that shows most to the one that shows least.
inline constexpr std::array<std::string_view, 4> kLogLevels = {"debug", "info", "warn", "error"};

}  // namespace iron::policy
