#include "transforms/auth/stub_answers.h"

#include <algorithm>

#include "transforms/annotations.h"
#include "transforms/auth/form.h"
#include "transforms/auth/jwt.h"
#include "transforms/auth/secret_base64.h"
#include "transforms/sources/json_member.h"

namespace iron::transforms {
namespace {
constexpr std::string_view kServiceAccounts = "/computeMetadata/v1/instance/service-accounts/";
}  // namespace

Verdict answer_with_stub_token(Exchange& exchange, Trace& trace, std::string_view what) {
  exchange.answer = PolicyAnswer{
      200, "application/json",
      R"({"access_token":"iron-proxy-stub-token","expires_in":3600,"token_type":"Bearer"})"};
  Annotations().text("stubbed", what).write(trace.annotations);
  return Verdict::answer;
}

bool asks_google_metadata(const Exchange& exchange) {
  const std::string& host = exchange.authority.host;
  return host == "metadata.google.internal" || host == "169.254.169.254";
}

bool asks_of_service_account(const Exchange& exchange, std::string_view end) {
  const std::string path = exchange.plain_path();
  return path.starts_with(kServiceAccounts) && path.ends_with(end) &&
         path.size() >= kServiceAccounts.size() + end.size() - 1;
}

BodyNeed need_of_token_request(const Exchange& exchange) {
  const BodyView& body = exchange.body;
  if (!body.present || !body.declared || !asks_google_token_endpoint(exchange)) return {};
  return {*body.declared <= std::min(kLargestTokenRequest, body.limit), 0};
}

std::optional<std::string> id_token_audience(const BodyView& body) {
  if (!body.loaded || !body.complete || !is_form(body.bytes)) return std::nullopt;
  const auto grant = form_value(body.bytes, "grant_type");
  const auto assertion = form_value(body.bytes, "assertion");
  if (!grant || !assertion || grant->reveal() != "urn:ietf:params:oauth:grant-type:jwt-bearer") {
    return std::nullopt;
  }
  const auto claims = jwt_claims(assertion->reveal());
  if (!claims) return std::nullopt;
  const auto audience = json_string_member(*claims, "target_audience");
  if (audience.has_error()) return std::nullopt;
  return std::string(audience->reveal());  // of the client's own: no key
}

std::string stub_id_token(std::string_view audience, std::chrono::sys_seconds now) {
  const std::int64_t issued = now.time_since_epoch().count();
  const Secret claims = JsonClaims()
                            .text("aud", audience)
                            .text("azp", "iron-proxy-stub")
                            .text("email", "stub@iron-proxy.local")
                            .boolean("email_verified", true)
                            .number("exp", issued + 3600)
                            .number("iat", issued)
                            .text("iss", "https://accounts.google.com")
                            .text("sub", "iron-proxy-stub")
                            .finish();
  SecretWriter out;
  put_base64_url(out, R"({"alg":"RS256","typ":"JWT"})");
  out.put('.');
  put_base64_url(out, claims.reveal());
  out.put(".c3R1Yi1zaWduYXR1cmU");
  return std::string(out.reveal());
}

bool asks_google_token_endpoint(const Exchange& exchange) {
  return exchange.authority.host == "oauth2.googleapis.com" && exchange.plain_path() == "/token";
}

}  // namespace iron::transforms
