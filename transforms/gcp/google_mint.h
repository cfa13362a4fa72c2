#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "transforms/auth/token_request.h"
#include "transforms/gcp/service_account.h"
#include "transforms/supply.h"

namespace iron::transforms {

/// What is wanted of Google's token endpoint.
struct GoogleWanted {
  TokenAnswerForm form;  ///< `jwt`: an access token; `id_token`
  std::string scopes;    ///< of an access token, with blanks between
  std::string subject;   ///< whom it impersonates; may be empty
  std::string audience;  ///< of an ID token
};
/// The request for it, signed with the account's key, which outlives it.
Result<TokenRequest> assertion_request(Outside& outside,
                                       const ServiceAccount& account,
                                       const GoogleWanted& wanted);

/// A token for Google's cloud, asked for with the key of a service account and kept to its end:
/// an access token for scopes, or an ID token for an audience.
class GoogleMint final : public Supply {
 public:
  using Wanted = GoogleWanted;
  GoogleMint(std::unique_ptr<KeyFile> key_file, Wanted wanted)
      : key_file_(std::move(key_file)), wanted_(std::move(wanted)) {}

  void keys(std::vector<const Secret*>& out) const { key_file_->keys(out); }
  /// `value` is `Bearer TOKEN`; `about` the address of the account; `error` the whole text,
  /// `reason` a short one.
  Task<Supplied> fetch(Outside& outside) override;
  bool retried_by_each() const override { return true; }

 private:
  Supplied failed(Outside& outside, const ServiceAccount* account, MintFailure failure) const;
  Supplied minted(const ServiceAccount& account) const;

  const std::unique_ptr<KeyFile> key_file_;
  const Wanted wanted_;
  // The thread of calls alone.
  SecretPtr value_, token_;
  std::int64_t until_ns_ = INT64_MIN;
};

}  // namespace iron::transforms
