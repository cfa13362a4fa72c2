#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/auth/secret_writer.h"

namespace iron::transforms {

/// A flat JSON object whose members keep the order in which they are added. Strings are escaped
/// with `<`, `>` and `&` as `\u003c` and so on; bytes that are no UTF-8 become `\ufffd`.
class JsonClaims {
 public:
  JsonClaims& text(std::string_view name, std::string_view value);
  JsonClaims& boolean(std::string_view name, bool value);
  JsonClaims& number(std::string_view name, std::int64_t value);
  /// The object; nothing may be added after it.
  Secret finish();

 private:
  void begin(std::string_view name);
  SecretWriter out_;
};

/// A signed token in the compact form (RFC 7515 section 7.1) with RS256 (RFC 7518 section 3.3). The
/// header is `{"alg":"RS256","typ":"JWT"}`, with `kid` if `key_id` is not empty. `private_key`: PEM
/// of any label, of which the first block counts, or DER; PKCS#8 or PKCS#1, RSA, no passphrase. It
/// is read anew for each signature, since OpenSSL keeps what it reads in plain memory.
Result<Secret> sign_jwt(const Secret& private_key, std::string_view key_id, const Secret& claims);

/// The claims of a token in the compact form, not verified; nothing unless they are a JSON object.
std::optional<Secret> jwt_claims(std::string_view token);
/// Claim `exp` of an object of claims, if it is an integer (RFC 7519 section 4.1.4).
std::optional<std::chrono::sys_seconds> jwt_expiry(const Secret& claims);

}  // namespace iron::transforms
