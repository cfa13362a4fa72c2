#pragma once

#include <memory>
#include <string>
#include <vector>

#include "policy/config/config.h"
#include "policy/secret/secret.h"
#include "transforms/pipeline.h"

namespace iron::bench {

/// The host all measured requests go to, and the token they carry.
inline constexpr const char* kHost = "api.bench.test";
inline constexpr const char* kToken = "hermes-proxy-main-0123456789abcdef";

/// How large a policy is. The entries that the measured requests use stand last.
struct PolicySize {
  int domains = 10;  ///< allowlist entries, a tenth of them wildcards
  int secrets = 1;
  bool same_host = false;  ///< all secrets apply to the measured host
  bool body = false;       ///< `match_body`
};

/// An allowlist and a `secrets` transform of that size.
class Policy {
 public:
  explicit Policy(const PolicySize& size);
  const transforms::Pipeline& pipeline() const { return *pipeline_; }

 private:
  SecretEnvironment environment_;
  std::vector<policy::ConfigWarning> warnings_;
  std::unique_ptr<transforms::Pipeline> pipeline_;
};

}  // namespace iron::bench
