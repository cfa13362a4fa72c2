#include "transforms/auth/oauth_mint.h"

#include <algorithm>
#include <cstring>

#include "policy/quote.h"
#include "transforms/auth/form.h"
#include "transforms/auth/jwt.h"
#include "transforms/sources/call_parts.h"

namespace iron::transforms {
namespace {

/// Sources refuse empty values; one that is a part of a document may be empty all the same.
struct Needed {
  std::string_view name, missing;
};
constexpr Needed kRefreshToken[] = {
    {"refresh_token", "refresh_token grant is missing the refresh token"},
    {"client_id", "refresh_token grant is missing the client id"}};
constexpr Needed kClientCredentials[] = {
    {"client_id", "client_credentials grant needs a client id and client secret"},
    {"client_secret", "client_credentials grant needs a client id and client secret"}};
constexpr Needed kPassword[] = {{"username", "password grant is missing the username or password"},
                                {"password", "password grant is missing the username or password"},
                                {"client_id", "password grant is missing the client id"}};
constexpr Needed kJwtBearer[] = {{"issuer", "jwt_bearer grant is missing the issuer"},
                                 {"subject", "jwt_bearer grant is missing the subject"},
                                 {"private_key", "jwt_bearer grant is missing the private key"}};

std::span<const Needed> needed_by(Grant grant) {
  switch (grant) {
    case Grant::refresh_token:
      return kRefreshToken;
    case Grant::client_credentials:
      return kClientCredentials;
    case Grant::password:
      return kPassword;
    case Grant::jwt_bearer:
      break;
  }
  return kJwtBearer;
}

void feed(Sha256& hash, std::string_view text) {
  const std::uint64_t size = text.size();
  hash.feed({reinterpret_cast<const char*>(&size), sizeof size});
  hash.feed(text);
}

SecretPtr shared(Secret secret) { return std::make_shared<const Secret>(std::move(secret)); }

}  // namespace

const char* grant_name(Grant grant) {
  switch (grant) {
    case Grant::refresh_token:
      return "refresh_token";
    case Grant::client_credentials:
      return "client_credentials";
    case Grant::password:
      return "password";
    case Grant::jwt_bearer:
      break;
  }
  return "jwt_bearer";
}

void OauthMint::keys(std::vector<const Secret*>& out) const {
  for (const auto& [name, source] : settings_.credentials) source->keys(out);
  for (const auto& [name, source] : settings_.headers) source->keys(out);
}

const Secret* OauthMint::Loaded::find(std::string_view name) const {
  const auto found = std::ranges::find(
      credentials, name, [](const auto& entry) { return std::string_view(entry.first); });
  return found == credentials.end() ? nullptr : found->second.get();
}

Task<Result<OauthMint::Loaded>> OauthMint::load(Outside& outside) {
  Loaded loaded;
  Sha256 hash;
  const auto take = [&](const std::string& name, Supplied& supplied, auto& into) {
    feed(hash, name);
    feed(hash, supplied.value->reveal());
    loaded.until_ns = std::min(loaded.until_ns, supplied.until_ns);
    into.emplace_back(name, std::move(supplied.value));
  };
  for (const auto& [name, source] : settings_.credentials) {
    Supplied supplied = co_await source->fetch(outside);
    if (supplied.value == nullptr) {
      co_return fail("loading " + name + " from " + policy::quoted(source->name()) + ": " +
                     supplied.error);
    }
    take(name, supplied, loaded.credentials);
  }
  for (const auto& [name, source] : settings_.headers) {
    Supplied supplied = co_await source->fetch(outside);
    if (supplied.value == nullptr) {
      co_return fail("loading token_endpoint_headers[" + policy::quoted(name) + "] from " +
                     policy::quoted(source->name()) + ": " + supplied.error);
    }
    take(name, supplied, loaded.headers);
  }
  Digest digest;
  if (hash.finish(digest)) loaded.fingerprint = digest;
  co_return std::move(loaded);
}

Result<SecretPtr> OauthMint::assertion(Outside& outside, const Loaded& loaded) const {
  const AssertionTimes times(outside.now());
  const std::string_view subject = loaded.find("subject")->reveal();
  JsonClaims claims;
  claims.text("iss", loaded.find("issuer")->reveal());
  if (!settings_.scopes.empty()) claims.text("scope", joined_by(' ', settings_.scopes));
  claims.text("aud", settings_.audience).number("exp", times.expires).number("iat", times.issued);
  claims.text("sub", subject).text("prn", subject);
  const Secret* key_id = loaded.find("private_key_id");
  const Result<Secret> signed_claims = sign_jwt(
      *loaded.find("private_key"), key_id == nullptr ? "" : key_id->reveal(), claims.finish());
  if (signed_claims.has_error()) return signed_claims.error();
  return assertion_body(*signed_claims);
}

/// What leaves, or why it cannot be made.
Result<TokenRequest> OauthMint::compose(Outside& outside, const Loaded& loaded) const {
  for (const Needed& need : needed_by(settings_.grant)) {
    const Secret* value = loaded.find(need.name);
    if (value == nullptr || value->empty()) return fail(std::string(need.missing));
  }
  TokenRequest request;
  request.endpoint = settings_.endpoint;
  for (const auto& [name, value] : loaded.headers) request.fields.push_back({name, {}, value});
  for (const auto& [name, value] : loaded.credentials) request.sent.push_back(value.get());
  for (const auto& [name, value] : loaded.headers) request.sent.push_back(value.get());
  if (settings_.grant == Grant::jwt_bearer) {
    request.form = TokenAnswerForm::jwt;
    Result<SecretPtr> body = assertion(outside, loaded);
    if (body.has_error()) return body.error();
    request.body = std::move(*body);
    return request;
  }
  const std::string scope =
      settings_.grant == Grant::refresh_token ? std::string() : joined_by(' ', settings_.scopes);
  std::vector<FormPair> pairs{{"grant_type", grant_name(settings_.grant)}};
  if (!scope.empty()) pairs.push_back({"scope", scope});
  for (const auto& [name, value] : loaded.credentials) {
    const bool rotated = name == "refresh_token" && refresh_token_ != nullptr;
    pairs.push_back({name, (rotated ? refresh_token_ : value)->reveal()});
  }
  if (refresh_token_ != nullptr) request.sent.push_back(refresh_token_.get());
  std::ranges::sort(pairs, {}, &FormPair::name);
  std::erase_if(pairs, [](const FormPair& pair) { return pair.value.empty(); });
  request.body = shared(write_form(pairs));
  return request;
}

Supplied OauthMint::minted(const Loaded& loaded) const {
  Supplied out;
  out.value = value_;
  out.until_ns = std::min(until_ns_, loaded.until_ns);
  out.about = grant_name(settings_.grant);
  out.keys.push_back(token_);
  if (refresh_token_ != nullptr) out.keys.push_back(refresh_token_);
  for (const auto& [name, value] : loaded.credentials) out.keys.push_back(value);
  for (const auto& [name, value] : loaded.headers) out.keys.push_back(value);
  return out;
}

Supplied OauthMint::failed(Outside& outside, const Loaded& loaded, MintFailure failure) const {
  Supplied out;
  out.error = std::move(failure.text);
  out.reason = std::move(failure.reason);
  out.about = grant_name(settings_.grant);
  for (const auto& [name, value] : loaded.credentials) out.keys.push_back(value);
  for (const auto& [name, value] : loaded.headers) out.keys.push_back(value);
  const bool revoked = out.reason == "invalid_grant";
  outside.note(revoked ? Outside::Gravity::error : Outside::Gravity::warn,
               "oauth_token mint failed",
               {{"grant", out.about}, {"reason", out.reason}, {"error", out.error}});
  return out;
}

Task<Supplied> OauthMint::fetch(Outside& outside) {
  Result<Loaded> loaded = co_await load(outside);
  if (loaded.has_error()) {
    co_return failed(outside, {}, {loaded.error().text, "mint_failed"});
  }
  if (loaded->fingerprint != fingerprint_ || !fingerprint_) {
    fingerprint_ = loaded->fingerprint;
    value_.reset();
    token_.reset();
    refresh_token_.reset();
  }
  if (value_ != nullptr && until_ns_ > outside.monotonic_ns()) co_return minted(*loaded);
  const std::string prefix =
      std::string("minting ") + grant_name(settings_.grant) + " access token: ";
  Result<TokenRequest> request = compose(outside, *loaded);
  if (request.has_error()) {
    co_return failed(outside, *loaded, {prefix + request.error().text, "mint_failed"});
  }
  MintResult result = co_await request_token(outside, std::move(*request));
  if (result.has_error()) {
    MintFailure failure = result.error();
    failure.text = failure.empty_token ? "jwt_bearer token endpoint returned an empty access_token"
                                       : prefix + failure.text;
    co_return failed(outside, *loaded, std::move(failure));
  }
  until_ns_ = token_until_ns(outside, result->expiry);
  token_ = shared(std::move(result->access_token));
  if (settings_.grant == Grant::refresh_token && !result->refresh_token.empty()) {
    refresh_token_ = shared(std::move(result->refresh_token));
  }
  value_ = shared(joined({settings_.prefix, token_->reveal()}));
  co_return minted(*loaded);
}

}  // namespace iron::transforms
