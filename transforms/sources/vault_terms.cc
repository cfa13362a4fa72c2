#include "transforms/sources/vault_terms.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <utility>

#include "policy/config_error.h"
#include "policy/duration.h"
#include "transforms/sources/source_kind.h"

namespace iron::transforms {
namespace {

constexpr const char* kToken = "VAULT_TOKEN";
constexpr const char* kDefaultAddress = "https://127.0.0.1:8200";
constexpr std::size_t kMostPem = 1 << 20;
constexpr auto kLongest = std::chrono::seconds(30);
constexpr std::array kFileVariables = {"VAULT_CACERT", "VAULT_CAPATH", "VAULT_CLIENT_CERT",
                                       "VAULT_CLIENT_KEY"};

Error no_parse(const char* name) { return fail(std::string("could not parse ") + name); }

/// The words that scripts use for yes and no.
Result<bool> read_flag(Outside& outside, const char* name) {
  const std::string text = outside.variable(name).value_or("false");
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return no_parse(name);
}

template <class Number>
std::optional<Number> read_number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Seconds, or a duration. The fetch as a whole ends sooner than anything longer.
Result<std::chrono::nanoseconds> read_limit(Outside& outside) {
  constexpr const char* kName = "VAULT_CLIENT_TIMEOUT";
  const auto text = outside.variable(kName);
  if (!text) return kLongest;
  std::chrono::nanoseconds limit = kLongest;
  if (const auto seconds = read_number<std::int64_t>(*text)) {
    limit = std::chrono::seconds(std::min<std::int64_t>(*seconds, kLongest.count()));
  } else {
    try {
      limit = policy::parse_duration(*text);
    } catch (const policy::ConfigError&) {
      return no_parse(kName);
    }
  }
  if (limit < std::chrono::nanoseconds(0)) return no_parse(kName);
  return limit == std::chrono::nanoseconds(0) ? kLongest
                                              : std::min(limit, decltype(limit)(kLongest));
}

Result<void> read_numbers(Outside& outside, VaultTerms& terms) {
  if (const auto text = outside.variable("VAULT_MAX_RETRIES")) {
    const auto retries = read_number<std::uint32_t>(*text);
    if (!retries) return no_parse("VAULT_MAX_RETRIES");
    terms.retries = *retries;
  }
  const Result<std::chrono::nanoseconds> limit = read_limit(outside);
  if (limit.has_error()) return limit.error();
  terms.limit = *limit;
  const Result<bool> unverified = read_flag(outside, "VAULT_SKIP_VERIFY");
  if (unverified.has_error()) return unverified.error();
  terms.trust.verifies = !*unverified;
  const Result<bool> direct = read_flag(outside, "VAULT_DISABLE_REDIRECTS");
  if (direct.has_error()) return direct.error();
  terms.redirects = !*direct;
  return {};
}

/// Files first, as they change; then the text that the variable itself is.
Task<Result<void>> read_trust(Outside& outside, CallTrust& trust) {
  trust.server_name = outside.variable("VAULT_TLS_SERVER_NAME").value_or("");
  const auto file = outside.variable("VAULT_CACERT");
  const auto text = outside.variable("VAULT_CACERT_BYTES");
  const auto directory = outside.variable("VAULT_CAPATH");
  if (file) {
    Result<Secret> read = co_await outside.read_file(*file, kMostPem);
    if (read.has_error()) co_return fail("Error loading CA File: " + read.error().text);
    trust.anchors = std::make_shared<const Secret>(std::move(*read));
  } else if (text) {
    trust.anchors = std::make_shared<const Secret>(Secret::copy_of(*text));
  } else if (directory) {
    Result<Secret> read = co_await outside.read_directory(*directory, kMostPem);
    if (read.has_error()) co_return fail("Error loading CA Path: " + read.error().text);
    trust.anchors = std::make_shared<const Secret>(std::move(*read));
  }
  const auto certificate = outside.variable("VAULT_CLIENT_CERT");
  const auto key = outside.variable("VAULT_CLIENT_KEY");
  if (!certificate && !key) co_return Result<void>();
  if (!certificate || !key) co_return fail("both client cert and client key must be provided");
  Result<Secret> first = co_await outside.read_file(*certificate, kMostPem);
  if (first.has_error()) co_return fail("error loading client certificate: " + first.error().text);
  Result<Secret> second = co_await outside.read_file(*key, kMostPem);
  if (second.has_error()) co_return fail("error loading client key: " + second.error().text);
  trust.certificate = std::make_shared<const Secret>(std::move(*first));
  trust.key = std::make_shared<const Secret>(std::move(*second));
  co_return Result<void>();
}

Error unusable(const Error& error) {
  return fail("error encountered setting up default configuration: " + error.text);
}

}  // namespace

Task<Result<VaultTerms>> read_vault_terms(Outside& outside) {
  VaultTerms terms;
  const Result<void> numbers = read_numbers(outside, terms);
  if (numbers.has_error()) co_return unusable(numbers.error());
  const Result<void> trust = co_await read_trust(outside, terms.trust);
  if (trust.has_error()) co_return unusable(trust.error());
  auto address = outside.variable("VAULT_AGENT_ADDR");
  if (!address) address = outside.variable("VAULT_ADDR");
  Result<policy::Url> url = policy::Url::parse(address.value_or(kDefaultAddress));
  if (url.has_error()) co_return url.error();
  terms.address = std::move(*url);
  terms.token = outside.secret_variable(kToken);
  terms.name_space = outside.variable("VAULT_NAMESPACE").value_or("");
  terms.parent = outside.variable("VAULT_PROXY_ADDR");
  if (!terms.parent) terms.parent = outside.variable("VAULT_HTTP_PROXY");
  co_return std::move(terms);
}

void prepare_vault_terms(const SourceBlock& block) {
  block.take(kToken);
  for (const char* name : kFileVariables) {
    const char* path = std::getenv(name);
    if (path != nullptr && *path != '\0') block.grant(std::string("file of ") + name, path);
  }
}

}  // namespace iron::transforms
