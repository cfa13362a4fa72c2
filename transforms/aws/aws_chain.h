#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "policy/task.h"
#include "transforms/auth/aws_credentials.h"
#include "transforms/aws/aws_call.h"
#include "transforms/aws/aws_settings.h"
#include "transforms/outside.h"

namespace iron::transforms {

/// Keys, and how long before their end new ones are wanted.
struct AwsFound {
  AwsCredentials keys;
  std::chrono::seconds early{0};
};

/// One search for keys: the environment, a web identity, the profile, the container, the instance;
/// the first that is set up decides (AWS SDKs and Tools Reference Guide, "Standardized credential
/// providers").
class AwsChain {
 public:
  /// Both outlive it.
  AwsChain(Outside& outside, const AwsSettings& settings)
      : outside_(outside), settings_(settings) {}
  Task<Result<AwsFound>> find();

 private:
  bool from_environment(AwsFound& found) const;
  Task<Result<AwsFound>> web_identity(std::string file, std::string role, std::string session);
  Task<Result<AwsFound>> of_profile(std::string profile, int depth);
  Task<Result<AwsFound>> base_of_profile(std::string profile, int depth);
  Task<Result<AwsFound>> of_credential_source(std::string source);
  Task<Result<AwsFound>> of_program(std::string command);
  Task<Result<AwsFound>> assume_role(AwsFound base, std::string profile);
  Result<AwsCall> role_call(AwsFound base, const std::string& profile) const;
  bool profile_has_keys(std::string_view profile) const;
  bool profile_has_login(std::string_view profile) const;
  std::string session_name(const std::optional<std::string>& named) const;

  Outside& outside_;
  const AwsSettings& settings_;
};

/// The last two levels, which are services of the machine.
bool has_aws_container(const Outside& outside);
Task<Result<AwsFound>> aws_container_keys(Outside& outside, int attempts);
Task<Result<AwsFound>> aws_instance_keys(Outside& outside, int attempts);

/// How many profiles lead to each other at most.
inline constexpr int kLongestAwsChain = 8;

/// Variables that hold keys.
inline constexpr const char* kAwsKeyVariables[] = {
    "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY",    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",    "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"};

}  // namespace iron::transforms
