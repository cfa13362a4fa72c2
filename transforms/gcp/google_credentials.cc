#include "transforms/gcp/google_credentials.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "policy/config_error.h"
#include "policy/quote.h"
#include "transforms/auth/form.h"
#include "transforms/gcp/google_answer.h"
#include "transforms/gcp/google_mint.h"
#include "transforms/gcp/service_account.h"
#include "transforms/registry.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

constexpr const char* kVariable = "GOOGLE_APPLICATION_CREDENTIALS";
constexpr const char* kWellKnown = "/.config/gcloud/application_default_credentials.json";
constexpr const char* kTokenUri = "https://oauth2.googleapis.com/token";
constexpr const char* kMetadataHost = "169.254.169.254";
constexpr std::size_t kMostDocument = 1 << 20;
constexpr std::int64_t kMarginNs = 10'000'000'000;
/// Where there is no metadata server, nothing answers at its address.
constexpr auto kMetadataLimit = std::chrono::seconds(5);

Error loading(const std::string& why) {
  return fail(std::string(GoogleCredentials::kLoading) + why);
}

/// The credentials' file; nothing: there is none, and the metadata server is asked.
Task<Result<std::optional<Secret>>> read_document(Outside& outside) {
  if (const auto path = outside.variable(kVariable)) {
    Result<Secret> read = co_await outside.read_file(*path, kMostDocument);
    if (read.has_error()) co_return loading(kVariable + (": " + read.error().text));
    co_return std::optional<Secret>(std::move(*read));
  }
  const auto home = outside.variable("HOME");
  if (!home) co_return std::optional<Secret>();
  const std::string path = *home + kWellKnown;
  Result<Secret> read = co_await outside.read_file(path, kMostDocument);
  if (read.has_value()) co_return std::optional<Secret>(std::move(*read));
  if (read.error().fault != Fault::gone) co_return loading(read.error().text);
  co_return std::optional<Secret>();
}

std::string text_of(const SecretJson& document, std::string_view name) {
  const auto found = document.string(name);
  return found ? std::string(found->text().reveal()) : std::string();
}

CallRequest of_metadata_path(Outside& outside, const std::string& path) {
  CallRequest request;
  request.url = "http://" + outside.variable("GCE_METADATA_HOST").value_or(kMetadataHost) +
                "/computeMetadata/v1/" + path;
  request.fields.push_back({"Metadata-Flavor", "Google", nullptr});
  request.limit = kMetadataLimit;
  return request;
}

CallRequest of_form(std::string url, Secret form) {
  CallRequest request;
  request.method = "POST";
  request.url = std::move(url);
  request.fields.push_back({"Content-Type", "application/x-www-form-urlencoded", nullptr});
  request.body = std::make_shared<const Secret>(std::move(form));
  return request;
}

/// Sends it and reads the token.
Task<Result<GoogleToken>> fetch_token(Outside& outside,
                                      const CallRequest& request,
                                      const std::vector<SecretPtr>& keys) {
  Result<CallAnswer> answer = co_await outside.call(request);
  if (answer.has_error()) {
    co_return fail("oauth2: cannot fetch token: " + call_error(request, answer.error()));
  }
  Result<GoogleTokenAnswer> read = read_google_token(*answer, keys);
  if (read.has_error()) co_return read.error();
  GoogleToken out;
  out.token = std::move(read->token);
  if (read->expires_in > 0) {
    out.until_ns = outside.monotonic_ns() + read->expires_in * 1'000'000'000 - kMarginNs;
  }
  co_return std::move(out);
}

/// What a user who has logged in left: a token for further ones.
Task<Result<GoogleToken>> of_user(Outside& outside, const SecretJson& document) {
  const auto id = document.string("client_id"), secret = document.string("client_secret"),
             refresh = document.string("refresh_token");
  if (!id || !secret || !refresh) {
    co_return loading("authorized_user needs client_id, client_secret and refresh_token");
  }
  const auto key = std::make_shared<const Secret>(secret->text());
  const auto token = std::make_shared<const Secret>(refresh->text());
  const std::string client = text_of(document, "client_id");
  std::string url = text_of(document, "token_uri");
  if (url.empty()) url = kTokenUri;
  const FormPair pairs[] = {{"client_id", client},
                            {"client_secret", key->reveal()},
                            {"grant_type", "refresh_token"},
                            {"refresh_token", token->reveal()}};
  const CallRequest request = of_form(std::move(url), write_form(pairs));
  const std::vector<SecretPtr> keys{key, token};
  Result<GoogleToken> got = co_await fetch_token(outside, request, keys);
  co_return std::move(got);
}

}  // namespace

Task<Result<GoogleToken>> GoogleCredentials::of_metadata(Outside& outside,
                                                         const std::vector<std::string>& scopes) {
  if (!project_asked_) {
    const CallRequest request = of_metadata_path(outside, "project/project-id");
    const Result<CallAnswer> answer = co_await outside.call(request);
    if (answer.has_error()) {
      co_return loading("could not find default credentials: " +
                        call_error(request, answer.error()));
    }
    project_asked_ = true;
  }
  std::string path = "instance/service-accounts/default/token";
  if (!scopes.empty()) path += "?scopes=" + query_value(joined_by(',', scopes));
  const CallRequest request = of_metadata_path(outside, path);
  const std::vector<SecretPtr> no_keys;
  Result<GoogleToken> got = co_await fetch_token(outside, request, no_keys);
  co_return std::move(got);
}

Task<Result<GoogleToken>> GoogleCredentials::of_document(Outside& outside,
                                                         const Secret& document,
                                                         const std::vector<std::string>& scopes) {
  const auto read = SecretJson::parse(document.reveal());
  if (!read || read->kind() != SecretJson::Kind::object) co_return loading("invalid JSON");
  const std::string type = text_of(*read, "type");
  if (type == "authorized_user") {
    Result<GoogleToken> got = co_await of_user(outside, *read);
    co_return std::move(got);
  }
  if (type == "service_account") {
    Result<GoogleToken> got = co_await of_account(outside, document, scopes);
    co_return std::move(got);
  }
  co_return loading("unsupported credential type " + policy::quoted(told(type, {})));
}

Task<Result<GoogleToken>> GoogleCredentials::of_account(Outside& outside,
                                                        const Secret& document,
                                                        const std::vector<std::string>& scopes) {
  const Result<ServiceAccount> account = ServiceAccount::parse(document);
  if (account.has_error()) co_return loading(account.error().text);
  Result<TokenRequest> request =
      assertion_request(outside, *account, {TokenAnswerForm::jwt, joined_by(' ', scopes), {}, {}});
  if (request.has_error()) co_return request.error();
  MintResult minted = co_await request_token(outside, std::move(*request));
  if (minted.has_error()) co_return fail(minted.error().text);
  GoogleToken got;
  got.token = std::make_shared<const Secret>(std::move(minted->access_token));
  got.until_ns = token_until_ns(outside, minted->expiry);
  got.account = account->email;
  got.keys = account->keys;
  co_return std::move(got);
}

Task<Result<GoogleToken>> GoogleCredentials::token(Outside& outside,
                                                   std::vector<std::string> scopes) {
  const bool kept = kept_.token != nullptr && kept_scopes_ == scopes;
  if (kept && outside.monotonic_ns() < kept_.until_ns) co_return kept_;
  Result<std::optional<Secret>> document = co_await read_document(outside);
  if (document.has_error()) co_return document.error();
  Result<GoogleToken> got = GoogleToken();
  if (document->has_value()) {
    got = co_await of_document(outside, **document, scopes);
  } else {
    got = co_await of_metadata(outside, scopes);
  }
  if (got.has_value()) {
    kept_ = *got;
    kept_scopes_ = std::move(scopes);
  }
  co_return std::move(got);
}

void GoogleCredentials::prepare(const BuildContext& context) {
  const char* named = std::getenv(kVariable);
  const char* home = std::getenv("HOME");
  std::string path = named != nullptr ? named : "";
  const auto& may_read = context.services.may_read;
  if (!path.empty() && may_read && !may_read(path)) {
    throw policy::ConfigError("credentials file " + policy::quoted(path) +
                              " is outside the directories readable since start");
  }
  if (path.empty() && home != nullptr && *home != '\0') path = home + std::string(kWellKnown);
  if (!path.empty()) context.needs.files.push_back(path);
}

}  // namespace iron::transforms
