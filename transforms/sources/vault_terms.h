#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "policy/match/url.h"
#include "policy/result.h"
#include "policy/task.h"
#include "transforms/outside.h"

namespace iron::transforms {

struct SourceBlock;

/// How Vault is called, as the variables VAULT_* say (docs/secrets.md, "vault_kv").
struct VaultTerms {
  policy::Url address;
  SecretPtr token;  ///< null: none
  std::string name_space;
  std::int64_t retries = 2;
  std::chrono::nanoseconds limit = std::chrono::seconds(30);
  bool redirects = true;
  CallTrust trust;
  std::optional<std::string> parent;
};

/// Reads the variables and the files that they name, anew at each fetch. Errors begin with what
/// could not be set up.
Task<Result<VaultTerms>> read_vault_terms(Outside& outside);

/// While the pipeline is built: takes the token, asks for the files. Throws ConfigError.
void prepare_vault_terms(const SourceBlock& block);

}  // namespace iron::transforms
