#include "transforms/gcp/google_mint.h"

#include <utility>

#include "transforms/auth/jwt.h"
#include "transforms/sources/call_parts.h"

namespace iron::transforms {
Result<TokenRequest> assertion_request(Outside& outside,
                                       const ServiceAccount& account,
                                       const GoogleWanted& wanted) {
  const AssertionTimes times(outside.now());
  const bool for_id_token = wanted.form == TokenAnswerForm::id_token;
  JsonClaims claims;
  claims.text("iss", account.email);
  if (!for_id_token) claims.text("scope", wanted.scopes);
  claims.text("aud", account.assertion_audience());
  claims.number("exp", times.expires).number("iat", times.issued);
  if (for_id_token) claims.text("target_audience", wanted.audience);
  if (!wanted.subject.empty()) claims.text("sub", wanted.subject).text("prn", wanted.subject);
  const Result<Secret> assertion = sign_jwt(*account.private_key, account.key_id, claims.finish());
  if (assertion.has_error()) return assertion.error();
  TokenRequest request;
  request.endpoint = account.token_uri;
  request.body = assertion_body(*assertion);
  request.form = wanted.form;
  for (const SecretPtr& key : account.keys) request.sent.push_back(key.get());
  return request;
}

Supplied GoogleMint::failed(Outside& outside,
                            const ServiceAccount* account,
                            MintFailure failure) const {
  Supplied out;
  out.error = std::move(failure.text);
  out.reason = std::move(failure.reason);
  if (account != nullptr) out.keys = account->keys;
  // Of an access token the record says it all.
  if (wanted_.form == TokenAnswerForm::id_token) {
    outside.note(Outside::Gravity::warn, "gcp_id_token mint failed",
                 {{"reason", out.reason}, {"error", out.error}});
  }
  return out;
}

Supplied GoogleMint::minted(const ServiceAccount& account) const {
  Supplied out;
  out.value = value_;
  out.until_ns = until_ns_;
  out.about = account.email;
  out.keys = account.keys;
  out.keys.push_back(token_);
  return out;
}

Task<Supplied> GoogleMint::fetch(Outside& outside) {
  const auto account = co_await key_file_->load(outside);
  if (account.has_error())
    co_return failed(outside, nullptr, {account.error().text, "mint_failed"});
  if (value_ != nullptr && until_ns_ > outside.monotonic_ns()) co_return minted(**account);
  const bool for_id_token = wanted_.form == TokenAnswerForm::id_token;
  const std::string prefix = for_id_token ? "minting GCP ID token: " : "minting GCP access token: ";
  Result<TokenRequest> request = assertion_request(outside, **account, wanted_);
  if (request.has_error()) {
    co_return failed(outside, account->get(), {prefix + request.error().text, "mint_failed"});
  }
  MintResult result = co_await request_token(outside, std::move(*request));
  if (result.has_error()) {
    MintFailure failure = result.error();
    const bool bare = failure.empty_token && !for_id_token;
    failure.text = bare ? "GCP token source returned empty access token" : prefix + failure.text;
    co_return failed(outside, account->get(), std::move(failure));
  }
  until_ns_ = token_until_ns(outside, result->expiry);
  token_ = std::make_shared<const Secret>(
      std::move(for_id_token ? result->id_token : result->access_token));
  value_ = bearer(*token_);
  co_return minted(**account);
}

}  // namespace iron::transforms
