#include "transforms/gcp/google_answer.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "policy/json/json_reader.h"
#include "policy/quote.h"
#include "transforms/auth/secret_base64.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

constexpr policy::JsonLimits kLimits{.bytes = 1 << 20};
constexpr std::int64_t kLongestLife = INT32_MAX;

/// A number, or a text that is one; nothing where it is neither.
std::optional<std::int64_t> read_seconds(const SecretJson& value) {
  if (value.kind() == SecretJson::Kind::null) return 0;
  const Secret text = value.text();
  const bool quoted = value.kind() == SecretJson::Kind::string;
  const std::string_view digits = quoted ? text.reveal() : value.raw();
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return std::min(seconds, kLongestLife);
}

/// `oauth2: "CODE" "DESCRIPTION"`; empty: the answer has no code.
std::string oauth_error(const SecretJson& body, const std::vector<SecretPtr>& keys) {
  std::string out;
  for (const char* name : {"error", "error_description", "error_uri"}) {
    const auto text = body.string(name);
    const std::string words = text ? told(text->text().reveal(), keys) : std::string();
    if (words.empty()) {
      if (out.empty()) break;
      continue;
    }
    out += (out.empty() ? "oauth2: " : " ") + policy::quoted(words);
  }
  return out;
}

}  // namespace

Result<GoogleTokenAnswer> read_google_token(const CallAnswer& answer,
                                            const std::vector<SecretPtr>& keys) {
  const auto body = SecretJson::parse(answer.body.reveal());
  const bool good = answer.status >= 200 && answer.status < 300;
  const std::string error = body ? oauth_error(*body, keys) : std::string();
  if (!error.empty()) return fail(error);
  if (!good) return fail("oauth2: cannot fetch token: " + answer.status_text());
  if (!body) return fail("oauth2: cannot parse json");
  const auto token = body->string("access_token");
  GoogleTokenAnswer out;
  if (token) out.token = std::make_shared<const Secret>(token->text());
  if (!token || out.token->empty()) {
    return fail("oauth2: server response missing access_token");
  }
  if (const auto expires = body->member("expires_in")) {
    const auto seconds = read_seconds(*expires);
    if (!seconds) return fail("oauth2: cannot parse json: expires_in is no whole number");
    out.expires_in = *seconds;
  }
  return out;
}

Result<Secret> read_gcp_payload(const CallAnswer& answer) {
  const Error broken = fail("decoding response: invalid JSON");
  if (answer.cut) return fail("decoding response: response body is too large");
  const auto body = SecretJson::parse(answer.body.reveal());
  if (!body || body->kind() != SecretJson::Kind::object) return broken;
  const auto payload = body->member("payload");
  const auto data = payload ? payload->member("data") : std::nullopt;
  if (!data || data->kind() == SecretJson::Kind::null) return Secret();
  if (data->kind() != SecretJson::Kind::string) return broken;
  std::optional<Secret> value = secret_from_base64(data->text().reveal(), Base64Form::standard);
  if (!value) return fail("decoding response: invalid base64");
  return std::move(*value);
}

std::string gcp_refusal(const CallAnswer& answer, const std::vector<SecretPtr>& keys) {
  std::string message;
  policy::JsonReader reader;
  const auto root = reader.parse(answer.body.reveal(), kLimits);
  if (root) {
    const auto body = root->read<policy::JsonObject>();
    if (body) {
      const auto error = body->optional<policy::JsonObject>("error");
      if (error && *error) {
        const auto text = (*error)->optional<std::string_view>("message");
        if (text && *text) message = told(**text, keys);
      }
    }
  }
  return "HTTP " + std::to_string(answer.status) + ": " + message;
}

}  // namespace iron::transforms
