#include "transforms/auth/jwt.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "policy/utf8.h"
#include "transforms/auth/rsa_key.h"
#include "transforms/auth/secret_base64.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

/// 9999-12-31T23:59:59Z: later times are not told apart, and arithmetic with them is safe.
constexpr std::int64_t kLatest = 253402300799;

void put_unicode_escape(SecretWriter& out, unsigned unit) {
  constexpr char kHex[] = "0123456789abcdef";
  out.put("\\u");
  for (const unsigned shift : {12U, 8U, 4U, 0U}) out.put(kHex[unit >> shift & 15]);
}

/// As the token endpoints' usual clients write strings: nothing that a page of HTML would read.
void put_string(SecretWriter& out, std::string_view text) {
  constexpr std::string_view kMeant = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
  out.put('"');
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = policy::utf8_sequence(text);
    const std::string_view point = text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
    if (const std::size_t letter = kMeant.find(c); letter != kMeant.npos) {
      out.put('\\').put(kLetters[letter]);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&') {
      put_unicode_escape(out, static_cast<unsigned char>(c));
    } else if (point == "\u2028" || point == "\u2029") {
      put_unicode_escape(out, point == "\u2028" ? 0x2028 : 0x2029);
    } else if (point.empty()) {
      put_unicode_escape(out, 0xFFFD);
    } else {
      out.put(point);
    }
  }
  out.put('"');
}

}  // namespace

void JsonClaims::begin(std::string_view name) {
  out_.put(out_.size() == 0 ? '{' : ',');
  put_string(out_, name);
  out_.put(':');
}

JsonClaims& JsonClaims::text(std::string_view name, std::string_view value) {
  begin(name);
  put_string(out_, value);
  return *this;
}

JsonClaims& JsonClaims::boolean(std::string_view name, bool value) {
  begin(name);
  out_.put(value ? "true" : "false");
  return *this;
}

JsonClaims& JsonClaims::number(std::string_view name, std::int64_t value) {
  begin(name);
  out_.put(std::to_string(value));
  return *this;
}

Secret JsonClaims::finish() {
  if (out_.size() == 0) out_.put('{');
  out_.put('}');
  return out_.finish();
}

Result<Secret> sign_jwt(const Secret& private_key, std::string_view key_id, const Secret& claims) {
  JsonClaims header;
  header.text("alg", "RS256").text("typ", "JWT");
  if (!key_id.empty()) header.text("kid", key_id);
  SecretWriter out;
  put_base64_url(out, header.finish().reveal());
  out.put('.');
  put_base64_url(out, claims.reveal());
  const auto signature = sign_rsa_sha256(private_key, out.reveal());
  if (!signature) return signature.error();
  out.put('.');
  put_base64_url(out, signature->reveal());
  return out.finish();
}

std::optional<Secret> jwt_claims(std::string_view token) {
  const std::size_t first = token.find('.');
  if (first == token.npos) return std::nullopt;
  token.remove_prefix(first + 1);
  auto claims = secret_from_base64(token.substr(0, token.find('.')), Base64Form::url);
  if (!claims) return std::nullopt;
  const auto object = SecretJson::parse(claims->reveal());
  if (!object || object->kind() != SecretJson::Kind::object) return std::nullopt;
  return claims;
}

std::optional<std::chrono::sys_seconds> jwt_expiry(const Secret& claims) {
  const auto object = SecretJson::parse(claims.reveal());
  const auto member = object ? object->member("exp") : std::nullopt;
  if (!member || member->kind() != SecretJson::Kind::number) return std::nullopt;
  std::int64_t seconds = 0;
  const char* const end = member->raw().data() + member->raw().size();
  const auto [stop, fault] = std::from_chars(member->raw().data(), end, seconds);
  if (fault != std::errc() || stop != end) return std::nullopt;
  return std::chrono::sys_seconds(
      std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kLatest)));
}

}  // namespace iron::transforms
