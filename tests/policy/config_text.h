#pragma once

#include <string>

#include "policy/config/config_keys.h"

namespace iron::policy {

/// Type and default of a key as the documents show them, in Markdown.
std::string type_text(const ConfigKey& key);
std::string default_text(const ConfigKey& key);
/// What a reload does with a changed value. Of a block: what it does with all of its keys.
std::string reload_text(const ConfigKey& key);

}  // namespace iron::policy
