#pragma once

#include <chrono>
#include <string>

namespace iron::policy {

using Duration = std::chrono::nanoseconds;

/// `1m30s`, `100ms`: the grammar of docs/configuration.md, "Durations". Throws ConfigError with
/// `time: …`.
Duration parse_duration(const std::string& text);
std::string format_duration(Duration value);

}  // namespace iron::policy
