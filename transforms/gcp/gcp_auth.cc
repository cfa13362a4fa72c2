#include <algorithm>
#include <memory>
#include <utility>

#include "policy/match/rules.h"
#include "policy/quote.h"
#include "transforms/annotations.h"
#include "transforms/auth/stub_answers.h"
#include "transforms/gcp/google_mint.h"
#include "transforms/gcp/google_workload.h"
#include "transforms/inject.h"
#include "transforms/registry.h"
#include "transforms/sources/call_parts.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;

constexpr std::string_view kName = "gcp_auth";

/// Puts access tokens of a service account into requests. See docs/transforms.md, "gcp_auth".
class GcpAuth : public Transform {
 public:
  explicit GcpAuth(const BuildContext& context);
  std::string_view name() const override { return kName; }
  bool gives_keys() const override { return true; }
  BodyNeed body_need(Exchange& exchange) const override { return need_of_token_request(exchange); }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;
  void keys(std::vector<const Secret*>& out) const override {
    out.insert(out.end(), keys_.begin(), keys_.end());
  }

 private:
  static bool is_stubbed(const Exchange& exchange);
  bool applies(const Exchange& exchange) const;

  std::vector<policy::Rule> rules_;
  std::unique_ptr<Supply> supply_;
  std::vector<const Secret*> keys_;  ///< that are there from the start
};

/// What it is is told by the first request that needs it; the start warns.
std::string provider_type(const policy::YamlNode* provider, const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  BlockReader block(provider, "gcpauth.providerConfig", context.path + ".credentials_provider",
                    reading);
  std::string type;
  block.text("type", type);
  block.finish();
  check_yaml(errors, kName);
  if (type != GoogleWorkload::kType) {
    context.warnings.push_back(
        {"credentials provider not supported",
         {{"key", context.path + ".credentials_provider.type"}, {"type", type}}});
  }
  return type;
}

GcpAuth::GcpAuth(const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  BlockReader block(context.node.get(), "gcpauth.config", context.path, reading);
  std::string path, subject;
  std::vector<std::string> scopes;
  block.text("keyfile_path", path);
  const auto source = block.any("keyfile");
  const auto provider = block.any("credentials_provider");
  block.text("subject", subject);
  block.texts("scopes", scopes);
  const policy::RuleReader rules(block, "rules", reading);
  block.finish();
  check_yaml(errors, kName);
  const int given =
      (path.empty() ? 0 : 1) + (source == nullptr ? 0 : 1) + (provider == nullptr ? 0 : 1);
  if (given != 1) {
    throw ConfigError(
        R"(gcp_auth: requires exactly one of "keyfile_path", "keyfile", or "credentials_provider")");
  }
  if (scopes.empty()) throw ConfigError(R"(gcp_auth: at least one entry in "scopes" is required)");
  rules_ = rules.build(std::string(kName));
  note_rules(rules_, context.path, context.risks);
  if (provider != nullptr) {
    if (!subject.empty()) {
      throw ConfigError(
          R"(gcp_auth: "subject" cannot be combined with "credentials_provider" (only keyfile sources support domain-wide delegation))");
    }
    const std::string type = provider_type(provider.get(), context);
    GoogleCredentials::prepare(context);
    supply_ = std::make_unique<GoogleWorkload>(type, scopes);
  } else {
    auto key_file = KeyFile::make(kName, std::move(path), source.get(), context);
    auto mint = std::make_unique<GoogleMint>(
        std::move(key_file),
        GoogleMint::Wanted{TokenAnswerForm::jwt, joined_by(' ', scopes), subject, {}});
    mint->keys(keys_);
    supply_ = std::move(mint);
  }
  context.needs.supplies.push_back(supply_.get());
}

bool GcpAuth::is_stubbed(const Exchange& exchange) {
  if (asks_google_token_endpoint(exchange)) return !id_token_audience(exchange.body);
  return asks_google_metadata(exchange) && asks_of_service_account(exchange, "/token");
}

bool GcpAuth::applies(const Exchange& exchange) const {
  if (rules_.empty()) return true;
  return policy::any_admits(rules_, exchange.subject());
}

Verdict GcpAuth::on_request(Exchange& exchange, Trace& trace) const {
  if (is_stubbed(exchange)) return answer_with_stub_token(exchange, trace, "oauth2_token_endpoint");
  if (!applies(exchange)) return Verdict::pass;
  const Supplied* token = exchange.use(*supply_);
  if (token == nullptr) return Verdict::wait;
  Annotations annotations;
  if (token->value == nullptr) {
    annotations.text("error", token->error).text("rejected", "token_unavailable");
    annotations.write(trace.annotations);
    exchange.denial_reason = "gcp_auth: no access token could be had";
    return Verdict::reject;
  }
  inject_field(exchange, "Authorization", *token->value);
  if (!token->about.empty()) annotations.text("service_account", token->about);
  annotations.texts("injected", {"header:Authorization"}).write(trace.annotations);
  return Verdict::pass;
}

}  // namespace

std::unique_ptr<const Transform> make_gcp_auth(const BuildContext& context) {
  return std::make_unique<GcpAuth>(context);
}

}  // namespace iron::transforms
