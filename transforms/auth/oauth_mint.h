#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transforms/auth/digest.h"
#include "transforms/auth/token_request.h"
#include "transforms/sources/secret_source.h"
#include "transforms/supply.h"

namespace iron::transforms {

enum class Grant { refresh_token, client_credentials, password, jwt_bearer };
/// As configurations and records name it.
const char* grant_name(Grant grant);

/// The access token of one entry of `oauth_token`: asked for with the credentials that its sources
/// have, kept to its end, and dropped when one of them changes.
class OauthMint final : public Supply {
 public:
  struct Settings {
    Grant grant = Grant::client_credentials;
    std::string endpoint, audience;
    std::vector<std::string> scopes;
    std::string prefix;  ///< of the field's value
    /// By the name of the key; in the order of these names.
    std::vector<std::pair<std::string, std::unique_ptr<SecretSource>>> credentials;
    /// Fields of the request, in the order of their names.
    std::vector<std::pair<std::string, std::unique_ptr<SecretSource>>> headers;
  };
  explicit OauthMint(Settings settings) : settings_(std::move(settings)) {}

  Grant grant() const { return settings_.grant; }
  void keys(std::vector<const Secret*>& out) const;

  /// `value` is the whole value of the field; `reason` is short, `about` the grant.
  Task<Supplied> fetch(Outside& outside) override;
  bool retried_by_each() const override { return true; }

 private:
  /// What the sources have, in the order of their names.
  struct Loaded {
    std::vector<std::pair<std::string, SecretPtr>> credentials, headers;
    std::int64_t until_ns = INT64_MAX;  ///< they are good for so long
    std::optional<Digest> fingerprint;
    const Secret* find(std::string_view name) const;
  };
  Task<Result<Loaded>> load(Outside& outside);
  Result<TokenRequest> compose(Outside& outside, const Loaded& loaded) const;
  Result<SecretPtr> assertion(Outside& outside, const Loaded& loaded) const;
  Supplied failed(Outside& outside, const Loaded& loaded, MintFailure failure) const;
  Supplied minted(const Loaded& loaded) const;

  const Settings settings_;

  // The thread of calls alone.
  std::optional<Digest> fingerprint_;  ///< of the credentials that the rest came by
  SecretPtr value_, token_, refresh_token_;
  std::int64_t until_ns_ = INT64_MIN;
};

}  // namespace iron::transforms
