#pragma once

#include <vector>

#include "policy/config.h"
#include "policy/warnings.h"

namespace iron::proxy {

/// What is legal but risky about files and addresses of a configuration (docs/configuration.md,
/// "Warnings at start"): a CA key or configuration that others can read, or reach through somebody
/// else's link, and metrics on every address.
void add_start_warnings(const policy::Config& config, std::vector<policy::ConfigWarning>& warnings);

}  // namespace iron::proxy
