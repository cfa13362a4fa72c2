#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "policy/match/host.h"
#include "policy/match/ip_address.h"
#include "policy/match/url.h"
#include "transforms/auth/aws_answers.h"
#include "transforms/aws/aws_chain.h"

namespace iron::transforms {
namespace {

using Fields = std::vector<CallRequest::Field>;

constexpr std::chrono::minutes kBeforeEnd{5};
constexpr std::chrono::seconds kMachineLimit{5};
constexpr std::size_t kLargestToken = 65536, kLargestAnswer = std::size_t{1} << 20;
constexpr std::string_view kTokenField = "X-Aws-Ec2-Metadata-Token";
constexpr std::string_view kTokenTimeField = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds";
constexpr std::string_view kRoles = "/latest/meta-data/iam/security-credentials/";

bool is_true(const std::optional<std::string>& value) {
  return value && policy::ascii_lower(*value) == "true";
}

/// What goes into a field, or an address.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7F'; });
}

CallRequest request_of(std::string method, std::string url, Fields fields) {
  CallRequest request;
  request.method = std::move(method);
  request.url = std::move(url);
  request.fields = std::move(fields);
  request.fields.push_back({"User-Agent", own_user_agent(), nullptr});
  request.most = kLargestAnswer;
  request.limit = kMachineLimit;
  return request;
}

/// Whose credentials may go over plain HTTP: the machine itself, ECS and EKS.
bool is_machine(const policy::Url& url) {
  if (url.host == "localhost") return true;
  if (!url.literal) return false;
  static const std::string_view kOthers[] = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23"};
  const bool loopback = url.host.starts_with("127.") || url.host == "::1";
  return loopback || std::ranges::any_of(kOthers, [&](std::string_view text) {
           return policy::IpAddress::parse(text) == url.literal;
         });
}

Result<policy::Url> container_url(const Outside& outside) {
  if (const auto path = outside.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")) {
    return policy::Url::parse("http://169.254.170.2" + *path);
  }
  const auto full = outside.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  Result<policy::Url> url = policy::Url::parse(full.value_or(""));
  if (url.has_value() && !url->https && !is_machine(*url)) {
    return fail("invalid endpoint host, \"" + url->host +
                "\", only loopback/ecs/eks hosts are allowed");
  }
  return url;
}

/// Null: the container asks for none.
Task<Result<SecretPtr>> container_token(Outside& outside) {
  SecretPtr token = outside.secret_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  auto file = outside.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (file) {
    Result<Secret> read = co_await outside.read_file(*file, kLargestToken);
    if (read.has_error()) {
      co_return fail("failed to read authorization token from file: " + read.error().text);
    }
    token = std::make_shared<const Secret>(std::move(*read));
  }
  if (token != nullptr && token->reveal().find_first_of("\r\n") != std::string_view::npos) {
    co_return fail("authorization token contains invalid newline sequence");
  }
  co_return std::move(token);
}

Error no_role(const std::string& why) {
  return fail("no EC2 IMDS role found, operation error ec2imds: GetMetadata, " + why);
}

/// The instance's metadata service, and how it is asked.
class Instance {
 public:
  Instance(Outside& outside, int attempts, std::string base)
      : outside_(outside), attempts_(attempts), base_(std::move(base)) {}

  /// Version 2 gives a token first; where there is none version 1 does without.
  Task<Result<void>> begin() {
    const std::string method = "PUT", path = "/latest/api/token";
    Result<CallAnswer> answer = co_await ask(method, path);
    if (answer.has_error()) co_return no_role(answer.error().text);
    const int status = answer->status;
    if (status == 200) {
      if (answer->body.empty() || !is_plain(answer->body.reveal())) {
        co_return no_role("the answer is no token");
      }
      token_ = std::make_shared<const Secret>(std::move(answer->body));
      co_return Result<void>();
    }
    const bool older = status == 403 || status == 404 || status == 405;
    if (older && !is_true(outside_.variable("AWS_EC2_METADATA_V1_DISABLED"))) {
      co_return Result<void>();
    }
    co_return no_role("http response error StatusCode: " + std::to_string(status) +
                      ", request to EC2 IMDS failed");
  }

  Task<Result<Secret>> get(std::string path) {
    const std::string method = "GET";
    Result<CallAnswer> answer = co_await ask(method, path);
    if (answer.has_error()) co_return no_role(answer.error().text);
    if (answer->status != 200) {
      co_return no_role("http response error StatusCode: " + std::to_string(answer->status) +
                        ", request to EC2 IMDS failed");
    }
    co_return std::move(answer->body);
  }

 private:
  Task<Result<CallAnswer>> ask(std::string method, std::string path) {
    std::function<Result<CallRequest>()> make = [&]() -> Result<CallRequest> {
      Fields fields;
      const bool puts = method == "PUT";
      if (puts) fields.push_back({std::string(kTokenTimeField), "300", nullptr});
      if (token_ != nullptr) fields.push_back({std::string(kTokenField), {}, token_});
      CallRequest request = request_of(method, base_ + path, std::move(fields));
      if (puts) request.body = std::make_shared<const Secret>();
      return request;
    };
    AwsAttempts done = co_await attempt_aws(outside_, attempts_, make);
    co_return std::move(done.last);
  }

  Outside& outside_;
  const int attempts_;
  const std::string base_;
  SecretPtr token_;
};

std::string instance_base(const Outside& outside) {
  if (auto base = outside.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT")) {
    while (base->ends_with('/')) base->pop_back();
    return *base;
  }
  const auto mode = outside.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
  const bool six = mode && policy::ascii_lower(*mode) == "ipv6";
  return six ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
}

}  // namespace

bool has_aws_container(const Outside& outside) {
  return outside.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
         outside.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

Task<Result<AwsFound>> aws_container_keys(Outside& outside, int attempts) {
  const Result<policy::Url> url = container_url(outside);
  if (url.has_error()) co_return url.error();
  Result<SecretPtr> token = co_await container_token(outside);
  if (token.has_error()) co_return token.error();
  std::function<Result<CallRequest>()> make = [&]() -> Result<CallRequest> {
    Fields fields{{"Accept", "application/json", nullptr}};
    if (*token != nullptr) fields.push_back({"Authorization", {}, *token});
    return request_of("GET", url->text(), std::move(fields));
  };
  AwsAttempts done = co_await attempt_aws(outside, attempts, make);
  const std::string where = "failed to load credentials, ";
  if (done.last.has_error()) co_return fail(where + done.last.error().text);
  if (done.last->status != 200) co_return fail(where + "HTTP " + done.last->status_text());
  Result<AwsCredentials> keys = read_aws_json_answer(done.last->body, AwsJsonAnswer::container);
  if (keys.has_error()) co_return fail(where + keys.error().text);
  AwsFound found{std::move(*keys), kBeforeEnd};
  co_return std::move(found);
}

Task<Result<AwsFound>> aws_instance_keys(Outside& outside, int attempts) {
  if (is_true(outside.variable("AWS_EC2_METADATA_DISABLED"))) {
    co_return no_role(
        "access disabled to EC2 IMDS via client option, or "
        "\"AWS_EC2_METADATA_DISABLED\" environment variable");
  }
  Instance instance(outside, attempts, instance_base(outside));
  const Result<void> begun = co_await instance.begin();
  if (begun.has_error()) co_return begun.error();
  std::string path(kRoles);
  Result<Secret> roles = co_await instance.get(path);
  if (roles.has_error()) co_return roles.error();
  const std::string_view listed = roles->reveal();
  const std::string_view role = listed.substr(0, listed.find_first_of("\r\n"));
  if (role.empty() || !is_plain(role) || role.find_first_of("/?#%") != role.npos) {
    co_return no_role("the answer names no role");
  }
  path += role;
  Result<Secret> answer = co_await instance.get(path);
  if (answer.has_error()) co_return answer.error();
  Result<AwsCredentials> keys = read_aws_json_answer(*answer, AwsJsonAnswer::instance);
  if (keys.has_error()) co_return no_role(keys.error().text);
  AwsFound found{std::move(*keys)};
  co_return std::move(found);
}

}  // namespace iron::transforms
