#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "policy/match/rules.h"
#include "transforms/formatter/formatter.h"
#include "transforms/registry.h"
#include "transforms/sources/secret_source.h"

namespace iron::transforms {

/// The `config` of an `hmac_sign`.
struct HmacConfig {
  enum class TimeFormat { seconds, milliseconds, nanoseconds, rfc3339 };
  enum class Coding { raw, base64, hex };
  using DigestName = const char*;  ///< OpenSSL's
  struct Credential {
    std::string name;
    std::unique_ptr<SecretSource> source;
  };
  struct Header {
    std::string name;
    std::unique_ptr<const Formatter> value;
  };

  /// Throws ConfigError with the texts of docs/transforms.md, "hmac_sign".
  explicit HmacConfig(const BuildContext& context);

  TimeFormat time_format;
  DigestName digest;
  Coding key_coding, output_coding;
  std::unique_ptr<const Formatter> message;
  std::vector<Header> headers;
  std::vector<Credential> credentials;  ///< in the order of their names
  std::size_t key = 0;                  ///< of them, the one that signs
  bool allow_chunked_body = false;
  std::vector<policy::Rule> rules;
};

}  // namespace iron::transforms
