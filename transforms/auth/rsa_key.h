#pragma once

#include <string_view>

#include "policy/result.h"
#include "policy/secret/secret.h"

namespace iron::transforms {

/// RSASSA-PKCS1-v1_5 with SHA-256 over `text` (RFC 8017 section 8.2). `private_key` as in jwt.h.
/// OpenSSL holds the numbers of the key during the call only, and wipes them.
Result<Secret> sign_rsa_sha256(const Secret& private_key, std::string_view text);

}  // namespace iron::transforms
