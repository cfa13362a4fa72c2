#include "transforms/gcp/google_workload.h"

#include "policy/quote.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {
constexpr std::string_view kPrefix = "Bearer ";
}

Task<Supplied> GoogleWorkload::fetch(Outside& outside) {
  Supplied out;
  out.reason = "mint_failed";
  if (type_ != kType) {
    out.error = "unsupported credentials_provider type " + policy::quoted(type_);
    co_return std::move(out);
  }
  Result<GoogleToken> token = co_await credentials_.token(outside, scopes_);
  if (token.has_error()) {
    const bool loading = token.error().text.starts_with(GoogleCredentials::kLoading);
    out.error = (loading ? "" : "minting GCP access token: ") + token.error().text;
    co_return std::move(out);
  }
  Secret value = Secret::sized(kPrefix.size() + token->token->size());
  put(put(value.writable().data(), kPrefix), token->token->reveal());
  out.value = std::make_shared<const Secret>(std::move(value));
  out.until_ns = token->until_ns;
  out.about = token->account;
  out.keys = token->keys;
  out.keys.push_back(token->token);
  co_return std::move(out);
}

}  // namespace iron::transforms
