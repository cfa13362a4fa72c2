#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "transforms/annotations.h"
#include "transforms/auth/signing.h"
#include "transforms/auth/sigv4.h"
#include "transforms/auth/sigv4_scope.h"
#include "transforms/aws/aws_actions.h"
#include "transforms/aws/aws_auth_config.h"
#include "transforms/aws/aws_payload.h"
#include "transforms/inject.h"
#include "transforms/registry.h"
#include "transforms/rewrite.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kName = "aws_auth";
constexpr std::string_view kUnsigned =
    "request has no SigV4 signature (no Authorization header or X-Amz-Credential query param)";

/// Signs requests to AWS anew that a client signed with keys which are worth nothing. See
/// docs/transforms.md, "aws_auth".
class AwsAuth final : public Transform {
 public:
  explicit AwsAuth(const BuildContext& context)
      : config_(context), warn_(context.services.warn), now_(context.services.now) {}
  std::string_view name() const override { return kName; }
  bool gives_keys() const override { return true; }
  BodyNeed body_need(Exchange& exchange) const override;
  bool judges_large_bodies() const override { return true; }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;
  void keys(std::vector<const Secret*>& out) const override;

 private:
  struct Plan;
  bool applies(const Exchange& exchange) const;
  bool wants_action(const AwsScope& scope) const;
  std::string_view unwanted(const AwsScope& scope) const;
  AwsPayload payload(const Exchange& exchange) const;

  std::optional<Verdict> judge_scope(Exchange& exchange, Trace& trace, AwsScope& scope) const;
  std::optional<Verdict> judge_action(Exchange& exchange, Trace& trace, const AwsScope&) const;
  std::optional<Verdict> look(Exchange& exchange, Trace& trace, AwsCredentials& keys) const;
  std::optional<Verdict> look_at_sources(Exchange& exchange,
                                         Trace& trace,
                                         AwsCredentials& keys) const;
  Result<AwsSignature> sign(const Exchange& exchange,
                            const AwsScope& scope,
                            std::string_view hash,
                            const AwsCredentials& keys) const;

  const AwsAuthConfig config_;
  decltype(Services::warn) warn_;
  decltype(Services::now) now_;
};

Verdict refuse(Exchange& exchange,
               Trace& trace,
               int status,
               std::string_view reason,
               Annotations annotations = {}) {
  return refuse_signing(kName, exchange, trace, status, reason, std::move(annotations));
}

Annotations why(std::string_view key, std::string_view text) {
  Annotations annotations;
  annotations.text(key, text);
  return annotations;
}

/// Of a field that an earlier transform added, the client said nothing.
std::optional<std::string_view> client_authorization(const Exchange& exchange) {
  const Field* field = exchange.request.headers.find("Authorization");
  return field == nullptr ? std::nullopt : std::optional(field->value);
}

Result<AwsScope> scope_of(const Exchange& exchange) {
  return client_aws_scope(client_authorization(exchange), exchange.raw_query);
}

bool lists(const std::vector<std::string>& list, const std::string& name) {
  return std::ranges::find(list, name) != list.end();
}

bool AwsAuth::applies(const Exchange& exchange) const {
  const policy::Subject subject = exchange.subject();
  return std::ranges::any_of(config_.rules, [&](const policy::Rule& rule) {
    // Where only a name is seen, nothing can be told apart by methods and paths.
    return rule.matches_host(subject) && (exchange.mode != Mode::mitm || rule.admits(subject));
  });
}

bool AwsAuth::wants_action(const AwsScope& scope) const {
  return issues_aws_keys(scope.service) && !lists(config_.services, scope.service);
}

/// Why the scope is refused; empty: it is not.
std::string_view AwsAuth::unwanted(const AwsScope& scope) const {
  if (!config_.regions.empty() && !lists(config_.regions, scope.region)) {
    return "region_not_allowed";
  }
  if (!config_.services.empty() && !lists(config_.services, scope.service)) {
    return "service_not_allowed";
  }
  return {};
}

AwsPayload AwsAuth::payload(const Exchange& exchange) const {
  const auto authorization = client_authorization(exchange);
  const bool presigned = !authorization || authorization->empty();
  return aws_payload(exchange, presigned, config_.unsigned_payload);
}

BodyNeed AwsAuth::body_need(Exchange& exchange) const {
  const BodyView& body = exchange.body;
  if (!body.present || exchange.mode != Mode::mitm || !applies(exchange)) return {};
  // A body that is refused for how it comes is not read.
  if (!body.declared && !config_.allow_chunked_body) return {};
  const Result<AwsScope> scope = scope_of(exchange);
  if (scope.has_error() || !unwanted(*scope).empty()) return {};
  return {wants_action(*scope) || payload(exchange) == AwsPayload::hashed, 0};
}

std::optional<Verdict> AwsAuth::judge_scope(Exchange& exchange,
                                            Trace& trace,
                                            AwsScope& scope) const {
  Result<AwsScope> found = scope_of(exchange);
  if (found.has_error()) {
    return refuse(exchange, trace, 400, "missing_sigv4", why("error", found.error().text));
  }
  scope = std::move(*found);
  const std::string_view reason = unwanted(scope);
  if (reason.empty()) return std::nullopt;
  const bool region = reason == "region_not_allowed";
  return refuse(exchange, trace, 403, reason,
                why(region ? "region" : "service", region ? scope.region : scope.service));
}

/// Who can make keys with ours has keys that no proxy takes back.
std::optional<Verdict> AwsAuth::judge_action(Exchange& exchange,
                                             Trace& trace,
                                             const AwsScope& scope) const {
  if (!wants_action(scope)) return std::nullopt;
  if (!can_sign_body(kName, exchange, trace, config_.allow_chunked_body)) return Verdict::reject;
  const auto action = key_issuing_action(exchange);
  if (!action) return std::nullopt;
  Annotations annotations = why("service", scope.service);
  annotations.text("aws_action", *action);
  return refuse(exchange, trace, 403, "credential_issuing_call", std::move(annotations));
}

/// All sources are asked before a fault is told: what has to be waited for may be more than one.
std::optional<Verdict> AwsAuth::look_at_sources(Exchange& exchange,
                                                Trace& trace,
                                                AwsCredentials& keys) const {
  struct Part {
    const char* key;
    const SecretSource* source;
    Secret& out;
  };
  const Part parts[] = {
      {"access_key_id", config_.access_key_id.get(), keys.access_key_id},
      {"secret_access_key", config_.secret_access_key.get(), keys.secret_access_key},
      {"session_token", config_.session_token.get(), keys.session_token}};
  std::string error;
  for (const Part& part : parts) {
    if (part.source == nullptr) continue;
    const Supplied* found = part.source->look(exchange);
    if (found == nullptr) return Verdict::wait;
    if (found->value != nullptr) {
      part.out = Secret::copy_of(found->value->reveal());
    } else if (error.empty()) {
      error = std::string(part.key) + ": " + found->error;
    }
  }
  if (error.empty()) return std::nullopt;
  Annotations annotations = why("credential", "static");
  annotations.text("error", error);
  return refuse(exchange, trace, 502, "credential_unavailable", std::move(annotations));
}

std::optional<Verdict> AwsAuth::look(Exchange& exchange, Trace& trace, AwsCredentials& keys) const {
  if (config_.workload == nullptr) return look_at_sources(exchange, trace, keys);
  const Supplied* found = exchange.use(*config_.workload);
  if (found == nullptr) return Verdict::wait;
  if (found->value == nullptr) {
    Annotations annotations = why("credential", "workload_identity");
    annotations.text("error", found->error);
    return refuse(exchange, trace, 502, "credential_unavailable", std::move(annotations));
  }
  keys.secret_access_key = Secret::copy_of(found->value->reveal());
  keys.access_key_id = Secret::copy_of(found->keys.at(0)->reveal());
  keys.session_token = Secret::copy_of(found->keys.at(1)->reveal());
  return std::nullopt;
}

bool is_in_signed_chunks(AwsPayload payload) {
  return payload == AwsPayload::chunks || payload == AwsPayload::chunks_and_trailer;
}

/// The pairs that sign a URL do not leave: a request with two signatures is refused.
void remove_presigning(Exchange& exchange) {
  const std::string_view query = exchange.raw_query;
  for (std::size_t begin = 0; begin < query.size();) {
    const std::size_t end = std::min(query.find('&', begin), query.size());
    if (is_presigning_parameter(query.substr(begin, end - begin))) {
      QueryRewrite& rewrite = exchange.rewrite_of_pair(begin);
      rewrite.kind = QueryRewrite::Kind::remove;
      rewrite.length = end - begin;
      rewrite.parts.clear();
      rewrite.value = nullptr;
    }
    begin = end + 1;
  }
}

Result<AwsSignature> AwsAuth::sign(const Exchange& exchange,
                                   const AwsScope& scope,
                                   std::string_view hash,
                                   const AwsCredentials& keys) const {
  const Secret target = leaving_target(exchange);
  const std::string_view text = target.reveal();
  const std::size_t mark = std::min(text.find('?'), text.size());
  std::vector<Secret> values;  // whose bytes stay where they are when the list grows
  std::vector<SignedField> fields{{"host", exchange.host}};
  for (const Field& field : exchange.request.headers.all()) {
    const std::string_view name = field_name(exchange, field);
    if (!is_signed_field(name) || iequals(name, "host")) continue;
    values.push_back(leaving_value(exchange, field));
    fields.push_back({name, values.back().reveal()});
  }
  AwsRequest request;
  request.method = exchange.request.method;
  request.path = text.substr(0, mark);
  request.query = text.substr(std::min(mark + 1, text.size()));
  request.fields = fields;
  request.payload_hash = hash;
  request.region = scope.region;
  request.service = scope.service;
  request.time = std::chrono::floor<std::chrono::seconds>(now_());
  return sign_aws(request, keys);
}

/// In the place of the client's. Returns where they stand.
std::vector<std::string> set_fields(Exchange& exchange,
                                    AwsSignature& signature,
                                    std::string_view hash,
                                    AwsCredentials& keys) {
  exchange.request.headers.remove_if(
      [](const Field& field) { return is_signature_field(field.name); });
  std::vector<std::string> places;
  const auto set = [&](std::string_view name, Secret value) {
    inject_field(exchange, name, exchange.hold(std::move(value)));
    places.push_back("header:" + std::string(name));
  };
  set("Authorization", std::move(signature.authorization));
  set("X-Amz-Date", Secret::copy_of(signature.date));
  set("X-Amz-Content-Sha256", Secret::copy_of(hash));
  if (!keys.session_token.empty()) set("X-Amz-Security-Token", std::move(keys.session_token));
  return places;
}

Verdict AwsAuth::on_request(Exchange& exchange, Trace& trace) const {
  if (exchange.tunnel_check && exchange.mode == Mode::mitm) return Verdict::pass;
  if (!applies(exchange)) return Verdict::pass;
  // A signature beside the target of what is relayed unseen says nothing about that.
  if (exchange.mode != Mode::mitm) {
    return refuse(exchange, trace, 400, "missing_sigv4", why("error", kUnsigned));
  }
  AwsScope scope;
  if (const auto refused = judge_scope(exchange, trace, scope)) return *refused;
  if (const auto refused = judge_action(exchange, trace, scope)) return *refused;
  AwsCredentials keys;
  if (const auto missing = look(exchange, trace, keys)) return *missing;
  const AwsPayload payload = this->payload(exchange);
  std::string_view hash = aws_payload_word(payload);
  HexDigest digest{};
  if (payload == AwsPayload::hashed) {
    if (!can_sign_body(kName, exchange, trace, config_.allow_chunked_body)) return Verdict::reject;
    const Result<HexDigest> hashed = leaving_body_hash(exchange.body);
    if (hashed.has_error()) {
      trace.error = hashed.error().text;
      return Verdict::error;
    }
    digest = *hashed;
    hash = view(digest);
    warn_of_undeclared_length(kName, warn_, exchange);
  } else if (is_in_signed_chunks(payload) && !exchange.body.parts.empty()) {
    // What was put in is a key, which must not pass through the memory that chunks are held in.
    return refuse(exchange, trace, 400, "body_read_failed",
                  why("error", "a body in signed chunks was changed by another transform"));
  }
  remove_presigning(exchange);
  Result<AwsSignature> signature = sign(exchange, scope, hash, keys);
  if (signature.has_error()) {
    trace.error = signature.error().text;
    return Verdict::error;
  }
  Annotations done;
  done.texts("injected", set_fields(exchange, *signature, hash, keys));
  done.text("region", scope.region).text("service", scope.service).write(trace.annotations);
  if (is_in_signed_chunks(payload)) {
    exchange.body_change =
        sign_aws_chunks(std::move(*signature), payload, exchange.request_trace_count - 1);
  }
  return Verdict::pass;
}

void AwsAuth::keys(std::vector<const Secret*>& out) const {
  for (const auto* source :
       {&config_.access_key_id, &config_.secret_access_key, &config_.session_token}) {
    if (*source != nullptr) (*source)->keys(out);
  }
}

}  // namespace

std::unique_ptr<const Transform> make_aws_auth(const BuildContext& context) {
  return std::make_unique<AwsAuth>(context);
}

}  // namespace iron::transforms
