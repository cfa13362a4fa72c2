#include <algorithm>
#include <chrono>
#include <random>
#include <string_view>
#include <utility>

#include "policy/config_error.h"
#include "policy/quote.h"
#include "transforms/gcp/google_answer.h"
#include "transforms/gcp/google_credentials.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/source_kind.h"

namespace iron::transforms {
namespace {

constexpr const char* kScope = "https://www.googleapis.com/auth/cloud-platform";
constexpr int kAttempts = 3;
constexpr std::chrono::nanoseconds kFirstPause = std::chrono::milliseconds(500);

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_or_digit(char c) { return is_lower(c) || is_digit(c); }
bool is_word(char c) {
  return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}
bool is_slug(char c) { return is_lower_or_digit(c) || c == '-'; }

// What these accept is the border against injection into the URL and the host's name.
bool is_project(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view domain = text.substr(0, colon);
    const bool good = !domain.empty() &&
                      std::ranges::all_of(domain, [](char c) { return is_slug(c) || c == '.'; });
    if (!good) return false;
    text.remove_prefix(colon + 1);
  }
  return !text.empty() && is_lower_or_digit(text.front()) && std::ranges::all_of(text, is_slug);
}
bool is_secret(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, is_word);
}
bool is_version(std::string_view text) {
  return !text.empty() && text.size() <= 63 && std::ranges::all_of(text, is_word);
}
bool is_location(std::string_view text) {
  return text.size() >= 2 && text.size() <= 63 && is_lower(text.front()) &&
         std::ranges::all_of(text, is_slug);
}

/// A version of a secret that Google's Secret Manager has.
struct GcpPlace {
  std::string project, secret, version, location;
  std::string name() const {
    return "projects/" + project + (location.empty() ? "" : "/locations/" + location) +
           "/secrets/" + secret + "/versions/" + version;
  }
  std::string url() const {
    const std::string host = location.empty() ? "secretmanager.googleapis.com"
                                              : "secretmanager." + location + ".rep.googleapis.com";
    return "https://" + host + "/v1/" + name() + ":access";
  }
};

bool may_pass(const Result<CallAnswer>& answer) {
  return answer.has_error() || answer->status == 429 || answer->status >= 500;
}

/// Half a second, then half as much again, each give or take a half.
std::chrono::nanoseconds pause_behind(int attempt) {
  std::chrono::nanoseconds pause = kFirstPause;
  for (int i = 1; i < attempt; ++i) pause = pause * 3 / 2;
  std::random_device source;
  std::uniform_int_distribution<std::int64_t> any(pause.count() / 2, pause.count() * 3 / 2);
  return std::chrono::nanoseconds(any(source));
}

class GcpSource final : public SourceKind {
 public:
  explicit GcpSource(GcpPlace place) : place_(std::move(place)) {}
  std::string name() const override { return "gcp_sm:" + place_.name(); }

  Task<Result<Secret>> get(Outside& outside) override {
    std::vector<std::string> scopes{kScope};
    Result<GoogleToken> token = co_await credentials_.token(outside, std::move(scopes));
    if (token.has_error()) co_return without_token(token.error());
    CallRequest request;
    request.url = place_.url();
    request.fields.push_back({"Authorization", {}, bearer(*token->token)});
    Result<CallAnswer> answer = co_await outside.call(request);
    for (int attempt = 1; attempt < kAttempts && may_pass(answer); ++attempt) {
      const bool time_left = co_await outside.sleep(pause_behind(attempt));
      if (!time_left) co_return failed("context deadline exceeded");
      answer = co_await outside.call(request);
    }
    if (answer.has_error()) co_return failed(call_error(request, answer.error()));
    if (answer->status != 200) co_return failed(gcp_refusal(*answer, {token->token}));
    Result<Secret> value = read_gcp_payload(*answer);
    if (value.has_error()) co_return failed(value.error().text);
    if (value->empty()) {
      co_return fail("GCP secret " + policy::quoted(place_.name()) + " resolved to empty value");
    }
    co_return std::move(value);
  }
  std::vector<SecretPtr> keys_shown() const override { return {credentials_.kept()}; }

 private:
  Error failed(const std::string& why) const {
    return fail("accessing GCP secret " + policy::quoted(place_.name()) + ": " + why);
  }
  Error without_token(const Error& error) const {
    const bool loading = error.text.starts_with(GoogleCredentials::kLoading);
    return loading ? fail("creating GCP Secret Manager client: " + error.text) : failed(error.text);
  }

  const GcpPlace place_;
  GoogleCredentials credentials_;
};

}  // namespace

std::unique_ptr<SourceKind> make_gcp_source(const SourceBlock& block) {
  GcpPlace place{block.text("project"), block.text("secret"), block.text("version"),
                 block.text("location")};
  block.require("project", place.project);
  block.require("secret", place.secret);
  if (place.version.empty()) place.version = "latest";
  const auto check = [](bool good, const char* what, const std::string& text) {
    if (good) return;
    throw policy::ConfigError(std::string("gcp_sm source has invalid ") + what + " " +
                              policy::quoted(text));
  };
  check(is_project(place.project), "project", place.project);
  check(is_secret(place.secret), "secret", place.secret);
  check(is_version(place.version), "version", place.version);
  check(place.location.empty() || is_location(place.location), "location", place.location);
  GoogleCredentials::prepare(block.context);
  return std::make_unique<GcpSource>(std::move(place));
}

}  // namespace iron::transforms
