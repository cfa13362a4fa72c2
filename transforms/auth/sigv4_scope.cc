#include "transforms/auth/sigv4_scope.h"

#include <algorithm>
#include <array>

#include "policy/quote.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kLongestQuote = 256;
constexpr std::array<std::string_view, 7> kPresigning{
    "X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",          "X-Amz-Expires",
    "X-Amz-SignedHeaders", "X-Amz-Signature",  "X-Amz-Security-Token"};

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

/// The part in front of `mark`; `text` goes on behind it.
std::string_view cut(std::string_view& text, char mark) {
  const std::string_view part = text.substr(0, text.find(mark));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

/// Both become part of a field: a decoded line break of a query must not.
bool is_name(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

Error malformed(std::string_view credential, std::string_view why) {
  return fail("malformed credential scope " + policy::quoted(credential.substr(0, kLongestQuote)) +
              ": " + std::string(why));
}

Result<AwsScope> split(std::string_view credential) {
  const auto segments = std::ranges::count(credential, '/') + 1;
  if (segments != 5)
    return malformed(credential, "expected 5 path segments, got " + std::to_string(segments));
  std::string_view rest = credential;
  AwsScope scope;
  scope.access_key = cut(rest, '/');
  scope.date = cut(rest, '/');
  scope.region = cut(rest, '/');
  scope.service = cut(rest, '/');
  if (rest != "aws4_request") return malformed(credential, "expected aws4_request terminator");
  if (scope.region.empty() || scope.service.empty())
    return malformed(credential, "empty region or service");
  if (!is_name(scope.region) || !is_name(scope.service))
    return malformed(credential, "unexpected character");
  return scope;
}

Result<AwsScope> from_field(std::string_view value) {
  value = trim(value);
  const std::string_view behind = value.substr(std::min(value.size(), kAlgorithm.size()));
  if (!value.starts_with(kAlgorithm) || !(behind.empty() || behind[0] == ' ' || behind[0] == '\t'))
    return fail("not a AWS4-HMAC-SHA256 Authorization header");
  std::string_view credential, signed_headers, signature;
  for (std::string_view rest = behind; !rest.empty();) {
    std::string_view parameter_value = cut(rest, ',');
    const std::string_view name = trim(cut(parameter_value, '='));
    // The first of equal ones: whatever is read here is also what is signed.
    const auto take = [&](std::string_view wanted, std::string_view& out) {
      if (name == wanted && out.empty()) out = trim(parameter_value);
    };
    take("Credential", credential);
    take("SignedHeaders", signed_headers);
    take("Signature", signature);
  }
  if (credential.empty()) return fail("missing Credential field in Authorization header");
  auto scope = split(credential);
  if (!scope) return scope;
  scope->signed_headers = signed_headers;
  scope->signature = signature;
  return scope;
}

/// The first parameter of that name, decoded; empty if there is none that can be.
std::string parameter(std::string_view query, std::string_view wanted) {
  std::string text;
  while (!query.empty()) {
    std::string_view value = cut(query, '&');
    const std::string_view name = cut(value, '=');
    if (decode_form(name, text) && text == wanted && decode_form(value, text)) return text;
  }
  return {};
}

}  // namespace

Result<AwsScope> client_aws_scope(std::optional<std::string_view> authorization,
                                  std::string_view query) {
  if (authorization && !trim(*authorization).empty()) return from_field(*authorization);
  const std::string credential = parameter(query, "X-Amz-Credential");
  if (credential.empty()) {
    return fail(
        "request has no SigV4 signature (no Authorization header or X-Amz-Credential query param)");
  }
  auto scope = split(credential);
  if (!scope) return scope;
  scope->signed_headers = parameter(query, "X-Amz-SignedHeaders");
  scope->signature = parameter(query, "X-Amz-Signature");
  return scope;
}

bool is_presigning_parameter(std::string_view parameter) {
  std::string name;
  if (!decode_form(cut(parameter, '='), name)) return false;
  return std::ranges::find(kPresigning, name) != kPresigning.end();
}

}  // namespace iron::transforms
