#include <algorithm>
#include <memory>
#include <utility>

#include "policy/match/host.h"
#include "policy/match/rules.h"
#include "transforms/annotations.h"
#include "transforms/auth/form.h"
#include "transforms/auth/stub_answers.h"
#include "transforms/gcp/google_mint.h"
#include "transforms/inject.h"
#include "transforms/registry.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;

constexpr std::string_view kName = "gcp_id_token";

/// Puts ID tokens of a service account into requests. See docs/transforms.md, "gcp_id_token".
class GcpIdToken : public Transform {
 public:
  explicit GcpIdToken(const BuildContext& context);
  std::string_view name() const override { return kName; }
  bool gives_keys() const override { return true; }
  BodyNeed body_need(Exchange& exchange) const override { return need_of_token_request(exchange); }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;
  void keys(std::vector<const Secret*>& out) const override { mint_->keys(out); }

 private:
  std::optional<PolicyAnswer> stub(const Exchange& exchange, Annotations& annotations) const;
  bool applies(const Exchange& exchange) const;

  std::string header_, audience_;
  std::vector<policy::Rule> rules_;
  std::unique_ptr<GoogleMint> mint_;
  decltype(Services::now) now_;
};

/// The field that an entry of `header` names.
std::string field_of(const std::string& header) {
  const std::size_t first = header.find_first_not_of(" \t\r\n");
  const std::size_t last = header.find_last_not_of(" \t\r\n");
  const std::string name =
      first == std::string::npos ? "" : policy::ascii_lower(header.substr(first, last - first + 1));
  if (name.empty() || name == "authorization") return "Authorization";
  if (name == "x-serverless-authorization") return "X-Serverless-Authorization";
  throw ConfigError(
      R"(gcp_id_token: "header" must be "authorization" or "x-serverless-authorization")");
}

GcpIdToken::GcpIdToken(const BuildContext& context) : now_(context.services.now) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  BlockReader block(context.node.get(), "gcpidtoken.config", context.path, reading);
  std::string path, header;
  block.text("keyfile_path", path);
  const auto source = block.any("keyfile");
  block.text("audience", audience_);
  block.text("header", header);
  const policy::RuleReader rules(block, "rules", reading);
  block.finish();
  check_yaml(errors, kName);
  if (path.empty() == (source == nullptr)) {
    throw ConfigError(R"(gcp_id_token: requires exactly one of "keyfile_path" or "keyfile")");
  }
  if (audience_.empty()) throw ConfigError(R"(gcp_id_token: "audience" is required)");
  rules_ = rules.build(std::string(kName));
  if (rules_.empty()) {
    throw ConfigError(R"(gcp_id_token: at least one entry in "rules" is required)");
  }
  note_rules(rules_, context.path, context.risks);
  header_ = field_of(header);
  auto key_file = KeyFile::make(kName, std::move(path), source.get(), context);
  mint_ = std::make_unique<GoogleMint>(
      std::move(key_file), GoogleMint::Wanted{TokenAnswerForm::id_token, {}, {}, audience_});
  context.needs.supplies.push_back(mint_.get());
}

/// The answer to a request for an ID token, which must not get a real one.
std::optional<PolicyAnswer> GcpIdToken::stub(const Exchange& exchange,
                                             Annotations& annotations) const {
  const auto now = std::chrono::floor<std::chrono::seconds>(now_());
  if (asks_google_metadata(exchange) && asks_of_service_account(exchange, "/identity")) {
    const auto audience = is_form(exchange.raw_query) ? form_value(exchange.raw_query, "audience")
                                                      : std::optional<Secret>();
    if (!audience || audience->empty()) return std::nullopt;
    annotations.text("audience", audience->reveal());
    annotations.text("stubbed", "gcp_metadata_identity_endpoint");
    return PolicyAnswer{200, "text/plain", stub_id_token(audience->reveal(), now)};
  }
  if (!asks_google_token_endpoint(exchange)) return std::nullopt;
  const auto audience = id_token_audience(exchange.body);
  if (!audience) return std::nullopt;
  annotations.text("audience", *audience);
  annotations.text("stubbed", "gcp_oauth2_id_token_endpoint");
  return PolicyAnswer{200, "application/json",
                      R"({"id_token":")" + stub_id_token(*audience, now) +
                          R"(","expires_in":3600,"token_type":"Bearer"})"};
}

bool GcpIdToken::applies(const Exchange& exchange) const {
  return policy::any_admits(rules_, exchange.subject());
}

Verdict GcpIdToken::on_request(Exchange& exchange, Trace& trace) const {
  Annotations annotations;
  exchange.answer = stub(exchange, annotations);
  if (exchange.answer) {
    annotations.write(trace.annotations);
    return Verdict::answer;
  }
  if (!applies(exchange)) return Verdict::pass;
  const Supplied* token = exchange.use(*mint_);
  if (token == nullptr) return Verdict::wait;
  if (token->value == nullptr) {
    annotations.text("error", token->reason).text("rejected", "token_unavailable");
    annotations.write(trace.annotations);
    exchange.denial_reason = "gcp_id_token: no ID token could be had";
    return Verdict::reject;
  }
  inject_field(exchange, header_, *token->value);
  annotations.text("audience", audience_).texts("injected", {"header:" + header_});
  if (!token->about.empty()) annotations.text("service_account", token->about);
  annotations.write(trace.annotations);
  return Verdict::pass;
}

}  // namespace

std::unique_ptr<const Transform> make_gcp_id_token(const BuildContext& context) {
  return std::make_unique<GcpIdToken>(context);
}

}  // namespace iron::transforms
