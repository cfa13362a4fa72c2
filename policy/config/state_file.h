#pragma once

#include <string>

namespace iron::policy {

/// Where an enrolled proxy keeps its credential: $IRON_STATE_STORE, else `iron-proxy/state` below
/// $XDG_CONFIG_HOME or $HOME/.config. Throws ConfigError if none of the variables is set.
std::string state_file_path();

/// Step 6 of the start: management by a control plane is not built, so an enrollment token (from
/// the flag, or from $IRON_ENROLLMENT_TOKEN) and an existing state file are refused. Throws
/// ConfigError.
void refuse_managed_mode(const std::string& token_of_flag);

}  // namespace iron::policy
