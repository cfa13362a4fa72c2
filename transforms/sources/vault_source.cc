#include <chrono>
#include <utility>

#include "policy/config_error.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/source_kind.h"
#include "transforms/sources/vault_answer.h"
#include "transforms/sources/vault_terms.h"

namespace iron::transforms {
namespace {

/// Waiting longer than a fetch lasts would bring nothing but another error.
constexpr std::int64_t kLongestPause = 30;

/// Whether another attempt may end otherwise: a standby that takes over, a limit, a restart.
bool may_pass(const Result<CallAnswer>& answer) {
  if (answer.has_error()) return answer.error().text.ends_with("connection refused");
  const int status = answer->status;
  return status == 412 || status == 429 || (status >= 500 && status != 501);
}

/// Seconds until the next attempt, of which `made` have failed.
std::int64_t pause_before(const Result<CallAnswer>& answer, std::int64_t made) {
  const std::int64_t told = answer.has_error() ? -1 : retry_after_seconds(*answer);
  return told >= 0 ? told : made;
}

Task<Result<CallAnswer>> send(Outside& outside, const CallRequest& request, std::int64_t retries) {
  for (std::int64_t made = 1;; ++made) {
    Result<CallAnswer> answer = co_await outside.call(request);
    const std::int64_t pause = pause_before(answer, made);
    if (made > retries || !may_pass(answer) || pause > kLongestPause) co_return std::move(answer);
    const bool time_left = co_await outside.sleep(std::chrono::seconds(pause));
    if (!time_left) co_return fail("context deadline exceeded");
  }
}

/// A secret of Vault's key-value engine: its data object as JSON.
class VaultSource final : public SourceKind {
 public:
  explicit VaultSource(VaultPlace place) : place_(std::move(place)) {}
  std::string name() const override { return "vault_kv:" + place_.shown(); }

  Task<Result<Secret>> get(Outside& outside) override {
    Result<VaultTerms> terms = co_await read_vault_terms(outside);
    if (terms.has_error()) co_return fail("creating Vault client: " + terms.error().text);
    token_ = terms->token;
    const CallRequest request = make_request(*terms);
    Result<CallAnswer> answer = co_await send(outside, request, terms->retries);
    if (answer.has_error()) co_return vault_unread(place_, call_error(request, answer.error()));
    co_return vault_value(request, *answer, place_, {token_});
  }
  std::vector<SecretPtr> keys_shown() const override { return {token_}; }

 private:
  CallRequest make_request(const VaultTerms& terms) const {
    CallRequest request;
    request.url = vault_url(terms.address, place_);
    request.fields.push_back({"X-Vault-Request", "true", nullptr});
    if (terms.token != nullptr) request.fields.push_back({"X-Vault-Token", {}, terms.token});
    if (!terms.name_space.empty()) {
      request.fields.push_back({"X-Vault-Namespace", terms.name_space, nullptr});
    }
    // A standby sends to the active node, which needs the token too.
    request.redirects =
        terms.redirects ? CallRequest::Redirects::followed_once : CallRequest::Redirects::refused;
    request.limit = terms.limit;
    request.trust = terms.trust;
    request.parent = terms.parent;
    return request;
  }

  const VaultPlace place_;
  SecretPtr token_;
};

}  // namespace

std::unique_ptr<SourceKind> make_vault_source(const SourceBlock& block) {
  VaultPlace place{block.text("mount"), block.text("path")};
  const std::int64_t version = block.integer("kv_version");
  block.require("mount", place.mount);
  block.require("path", place.path);
  if (version < 0 || version > 2) {
    throw policy::ConfigError("vault_kv source kv_version must be 1 or 2, got " +
                              std::to_string(version));
  }
  place.versioned = version != 1;
  prepare_vault_terms(block);
  return std::make_unique<VaultSource>(std::move(place));
}

}  // namespace iron::transforms
