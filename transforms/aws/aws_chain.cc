#include "transforms/aws/aws_chain.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "policy/quote.h"
#include "transforms/auth/aws_answers.h"
#include "transforms/auth/form.h"
#include "transforms/aws/aws_command.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLargestToken = std::size_t{1} << 20;
constexpr std::string_view kApiVersion = "2011-06-15";
constexpr std::string_view kFormType = "application/x-www-form-urlencoded";
constexpr std::array<std::string_view, 7> kOfAssumeRole{
    "ExpiredTokenException",  "IDPCommunicationError",   "IDPRejectedClaim",
    "InvalidIdentityToken",   "MalformedPolicyDocument", "PackedPolicyTooLarge",
    "RegionDisabledException"};

SecretPtr shared(Secret secret) { return std::make_shared<const Secret>(std::move(secret)); }

AwsCall sts_call(std::string_view operation, Secret body) {
  AwsCall call{kAwsSts,
               operation,
               {{"Content-Type", std::string(kFormType), nullptr}},
               shared(std::move(body)),
               nullptr,
               AwsCall::Errors::xml,
               kOfAssumeRole,
               {}};
  return call;
}

}  // namespace

/// Both halves have an older name each.
bool AwsChain::from_environment(AwsFound& found) const {
  const auto first = [&](const char* name, const char* older) {
    const SecretPtr value = outside_.secret_variable(name);
    return value != nullptr ? value : outside_.secret_variable(older);
  };
  const SecretPtr id = first("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY");
  const SecretPtr key = first("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY");
  if (id == nullptr || key == nullptr) return false;
  found.keys.access_key_id = Secret::copy_of(id->reveal());
  found.keys.secret_access_key = Secret::copy_of(key->reveal());
  const SecretPtr token = outside_.secret_variable("AWS_SESSION_TOKEN");
  if (token != nullptr) found.keys.session_token = Secret::copy_of(token->reveal());
  return true;
}

Task<Result<AwsFound>> AwsChain::find() {
  AwsFound found;
  if (from_environment(found)) co_return std::move(found);
  auto file = outside_.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
  if (file) {
    auto role = outside_.variable("AWS_ROLE_ARN");
    if (!role) co_return fail("AWS_WEB_IDENTITY_TOKEN_FILE is set, but role ARN is not set");
    std::string session = session_name(outside_.variable("AWS_ROLE_SESSION_NAME"));
    Result<AwsFound> got = co_await web_identity(*file, *role, session);
    co_return std::move(got);
  }
  std::string profile = settings_.profile();
  Result<AwsFound> got = co_await of_profile(profile, 0);
  if (got.has_error() || !got->keys.access_key_id.empty()) co_return std::move(got);
  const int attempts = settings_.attempts();
  if (has_aws_container(outside_)) {
    Result<AwsFound> container = co_await aws_container_keys(outside_, attempts);
    co_return std::move(container);
  }
  Result<AwsFound> instance = co_await aws_instance_keys(outside_, attempts);
  co_return std::move(instance);
}

std::string AwsChain::session_name(const std::optional<std::string>& named) const {
  if (named) return *named;
  const auto now = outside_.now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// The file is read each time: who writes it replaces the token before it ends.
Task<Result<AwsFound>> AwsChain::web_identity(std::string file,
                                              std::string role,
                                              std::string session) {
  Result<Secret> token = co_await outside_.read_file(file, kLargestToken);
  if (token.has_error()) {
    co_return fail("failed to retrieve jwt from provide source, unable to read file at " + file +
                   ": " + token.error().text);
  }
  const std::array<FormPair, 5> form{{{"Action", "AssumeRoleWithWebIdentity"},
                                      {"RoleArn", role},
                                      {"RoleSessionName", session},
                                      {"Version", kApiVersion},
                                      {"WebIdentityToken", token->reveal()}}};
  AwsCall call = sts_call("AssumeRoleWithWebIdentity", write_form(form));
  call.sent.push_back(shared(std::move(*token)));
  Result<Secret> answer = co_await call_aws(outside_, settings_, std::move(call));
  if (answer.has_error()) {
    co_return fail("failed to retrieve credentials, " + answer.error().text);
  }
  Result<AwsCredentials> keys = read_sts_answer(*answer, "AssumeRoleWithWebIdentity");
  if (keys.has_error()) co_return fail("failed to retrieve credentials, " + keys.error().text);
  AwsFound found{std::move(*keys)};
  co_return std::move(found);
}

bool AwsChain::profile_has_keys(std::string_view profile) const {
  return settings_.text(profile, "aws_access_key_id").has_value() &&
         !settings_.key(profile, "aws_secret_access_key").empty();
}

bool AwsChain::profile_has_login(std::string_view profile) const {
  for (const char* setting : {"sso_session", "sso_account_id", "sso_start_url", "login_session"}) {
    if (settings_.text(profile, setting)) return true;
  }
  return false;
}

/// Without keys if the profile says nothing of them.
Task<Result<AwsFound>> AwsChain::of_profile(std::string profile, int depth) {
  if (depth > kLongestAwsChain) co_return fail("profile chain is too long");
  Result<AwsFound> base = co_await base_of_profile(profile, depth);
  if (base.has_error()) co_return std::move(base);
  const bool assumes =
      settings_.text(profile, "role_arn") &&
      (settings_.text(profile, "source_profile") || settings_.text(profile, "credential_source"));
  if (!assumes) co_return std::move(base);
  AwsFound keys = std::move(*base);
  Result<AwsFound> role = co_await assume_role(std::move(keys), profile);
  co_return std::move(role);
}

/// What a role is assumed with, or the keys themselves.
Task<Result<AwsFound>> AwsChain::base_of_profile(std::string profile, int depth) {
  const auto source = settings_.text(profile, "source_profile");
  if (source && *source != profile) {
    if (!settings_.has_profile(*source)) {
      co_return fail("failed to load assume role for source profile " + *source);
    }
    std::string next = *source;
    Result<AwsFound> of_source = co_await of_profile(next, depth + 1);
    if (of_source.has_value() && of_source->keys.access_key_id.empty()) {
      co_return fail("source profile " + *source + " has no credentials");
    }
    co_return std::move(of_source);
  }
  if (profile_has_keys(profile)) {
    AwsFound found;
    found.keys.access_key_id = settings_.key(profile, "aws_access_key_id");
    found.keys.secret_access_key = settings_.key(profile, "aws_secret_access_key");
    found.keys.session_token = settings_.key(profile, "aws_session_token");
    co_return std::move(found);
  }
  if (auto from = settings_.text(profile, "credential_source")) {
    Result<AwsFound> found = co_await of_credential_source(*from);
    co_return std::move(found);
  }
  auto file = settings_.text(profile, "web_identity_token_file");
  auto role = settings_.text(profile, "role_arn");
  if (file && role) {
    std::string session = session_name(settings_.text(profile, "role_session_name"));
    Result<AwsFound> found = co_await web_identity(*file, *role, session);
    co_return std::move(found);
  }
  if (profile_has_login(profile)) {
    co_return fail("profile " + policy::quoted(profile) +
                   " takes a login of SSO or of the console, which is not supported");
  }
  if (auto command = settings_.text(profile, "credential_process")) {
    Result<AwsFound> found = co_await of_program(*command);
    co_return std::move(found);
  }
  co_return AwsFound();
}

Task<Result<AwsFound>> AwsChain::of_credential_source(std::string source) {
  const int attempts = settings_.attempts();
  if (source == "Environment") {
    AwsFound found;
    if (from_environment(found)) co_return std::move(found);
    co_return fail("credential_source Environment, but the environment has no credentials");
  }
  if (source == "EcsContainer") {
    if (!has_aws_container(outside_)) {
      co_return fail(
          "EcsContainer was specified as the credential_source, but neither "
          "'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI' or "
          "AWS_CONTAINER_CREDENTIALS_FULL_URI' was set");
    }
    Result<AwsFound> found = co_await aws_container_keys(outside_, attempts);
    co_return std::move(found);
  }
  if (source == "Ec2InstanceMetadata") {
    Result<AwsFound> found = co_await aws_instance_keys(outside_, attempts);
    co_return std::move(found);
  }
  co_return fail(
      "credential_source values must be EcsContainer, Ec2InstanceMetadata, or "
      "Environment");
}

Task<Result<AwsFound>> AwsChain::of_program(std::string command) {
  Result<ProgramRun> program = aws_command(command);
  if (program.has_error()) co_return program.error();
  const ProgramRun run = std::move(*program);
  Result<Secret> written = co_await outside_.run(run);
  if (written.has_error()) {
    co_return fail("error in credential_process: " + written.error().text);
  }
  Result<AwsCredentials> keys = read_aws_json_answer(*written, AwsJsonAnswer::process);
  if (keys.has_error()) co_return fail("error in credential_process: " + keys.error().text);
  AwsFound found{std::move(*keys)};
  co_return std::move(found);
}

Result<AwsCall> AwsChain::role_call(AwsFound base, const std::string& profile) const {
  if (settings_.text(profile, "mfa_serial")) {
    return fail("profile " + policy::quoted(profile) +
                " takes a code of mfa_serial, which is not supported");
  }
  const std::string role = settings_.text(profile, "role_arn").value_or("");
  const std::string session = session_name(settings_.text(profile, "role_session_name"));
  const std::string time = settings_.text(profile, "duration_seconds").value_or("900");
  const auto external = settings_.text(profile, "external_id");
  std::vector<FormPair> form{{"Action", "AssumeRole"}, {"DurationSeconds", time}};
  if (external) form.push_back({"ExternalId", *external});
  form.insert(form.end(),
              {{"RoleArn", role}, {"RoleSessionName", session}, {"Version", kApiVersion}});
  AwsCall call = sts_call("AssumeRole", write_form(form));
  call.keys = std::make_shared<const AwsCredentials>(std::move(base.keys));
  return call;
}

Task<Result<AwsFound>> AwsChain::assume_role(AwsFound base, std::string profile) {
  Result<AwsCall> call = role_call(std::move(base), profile);
  if (call.has_error()) co_return call.error();
  Result<Secret> answer = co_await call_aws(outside_, settings_, std::move(*call));
  if (answer.has_error()) co_return answer.error();
  Result<AwsCredentials> keys = read_sts_answer(*answer, "AssumeRole");
  if (keys.has_error()) co_return fail("operation error STS: AssumeRole, " + keys.error().text);
  AwsFound found{std::move(*keys)};
  co_return std::move(found);
}

}  // namespace iron::transforms
