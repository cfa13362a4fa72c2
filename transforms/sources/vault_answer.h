#pragma once

#include <string>
#include <vector>

#include "policy/match/url.h"
#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/outside.h"

namespace iron::transforms {

/// Where a secret of Vault's key-value engine is, as the configuration names it.
struct VaultPlace {
  std::string mount, path;
  bool versioned = true;  ///< version 2 of the engine
  std::string shown() const { return mount + "/" + path; }
  /// What is read, as errors name it.
  std::string at() const { return mount + (versioned ? "/data/" : "/") + path; }
};

std::string vault_url(const policy::Url& address, const VaultPlace& place);

/// What an answer has there: the data object, compact. Errors are whole (docs/secrets.md,
/// "vault_kv"); `keys` are in none of them.
Result<Secret> vault_value(const CallRequest& request,
                           const CallAnswer& answer,
                           const VaultPlace& place,
                           const std::vector<SecretPtr>& keys);

/// The error of a read that brought no answer or one that says no more than that it failed.
Error vault_unread(const VaultPlace& place, const std::string& why);

}  // namespace iron::transforms
