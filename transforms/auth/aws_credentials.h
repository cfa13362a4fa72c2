#pragma once

#include <chrono>
#include <optional>

#include "policy/secret/secret.h"

namespace iron::transforms {

/// What signs for AWS. `session_token` is empty with long-lived keys; without `expiry` they are
/// kept.
struct AwsCredentials {
  Secret access_key_id;
  Secret secret_access_key;
  Secret session_token;
  std::optional<std::chrono::sys_seconds> expiry;
};

}  // namespace iron::transforms
