#pragma once

#include <memory>
#include <string>
#include <vector>

#include "policy/match/rules.h"
#include "transforms/aws/aws_workload.h"
#include "transforms/registry.h"
#include "transforms/sources/secret_source.h"

namespace iron::transforms {

/// The `config` of an `aws_auth`.
struct AwsAuthConfig {
  /// Throws ConfigError with the texts of docs/transforms.md, "aws_auth".
  explicit AwsAuthConfig(const BuildContext& context);

  /// Three sources, the last of which may be null, or the program's own keys.
  std::unique_ptr<SecretSource> access_key_id, secret_access_key, session_token;
  std::unique_ptr<AwsWorkload> workload;
  std::vector<std::string> regions, services;  ///< empty: any
  bool unsigned_payload = false;
  bool allow_chunked_body = false;
  std::vector<policy::Rule> rules;
};

}  // namespace iron::transforms
