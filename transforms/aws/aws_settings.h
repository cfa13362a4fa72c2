#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/match/url.h"
#include "policy/result.h"
#include "policy/secret/secret.h"
#include "policy/task.h"
#include "transforms/auth/aws_config.h"
#include "transforms/outside.h"

namespace iron::transforms {

/// A service of AWS that is called.
struct AwsService {
  std::string_view id;       ///< in errors
  std::string_view name;     ///< in signatures and host names
  std::string_view setting;  ///< its block in a `[services x]` section
  const char* variable;      ///< of its endpoint
  bool general_endpoint;     ///< AWS_ENDPOINT_URL is meant for it too
  bool dual_stack;           ///< has a host of its own for both kinds of addresses
};
inline constexpr AwsService kAwsSecretsManager{"Secrets Manager",
                                               "secretsmanager",
                                               "secrets_manager",
                                               "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                                               true,
                                               false};
inline constexpr AwsService kAwsSsm{"SSM", "ssm", "ssm", "AWS_ENDPOINT_URL_SSM", true, true};
inline constexpr AwsService kAwsSts{"STS", "sts", "sts", "AWS_ENDPOINT_URL_STS", false, false};

/// What the environment and the shared files of AWS say at the time of a fetch (AWS SDKs and Tools
/// Reference Guide, "Settings reference").
class AwsSettings {
 public:
  /// `region` is the configuration's and may be empty. `outside` outlives what is loaded. Fails
  /// with `failed to get shared config profile, NAME`, and for files that cannot be read.
  static Task<Result<AwsSettings>> load(Outside& outside, std::string region);

  /// The profile in use.
  const std::string& profile() const { return profile_; }
  bool has_profile(std::string_view profile) const;
  /// A setting of a profile; nothing if it is not there or empty. The credentials file wins.
  std::optional<std::string> text(std::string_view profile, std::string_view setting) const;
  /// The same for what is a key; empty if it is not there.
  Secret key(std::string_view profile, std::string_view setting) const;

  const std::string& region() const { return region_; }
  /// URL of the service. Fails if that takes a region, and there is none.
  Result<policy::Url> endpoint(const AwsService& service) const;
  /// How often a call is tried in all.
  int attempts() const;
  /// Trust anchors to be added; null: none.
  SecretPtr anchors() const { return anchors_; }

 private:
  explicit AwsSettings(Outside& outside) : outside_(&outside) {}
  std::optional<std::string_view> find(std::string_view profile, std::string_view setting) const;
  std::optional<std::string> configured_endpoint(const AwsService& service) const;
  bool is_on(const char* variable, std::string_view setting) const;

  Outside* outside_;
  AwsConfigFile config_, credentials_;
  std::string profile_, region_;
  SecretPtr anchors_;
};

/// Where the shared files are, by these variables and the home directory; empty: nowhere.
std::string aws_file_path(const std::optional<std::string>& named,
                          const std::optional<std::string>& home,
                          std::string_view name);

}  // namespace iron::transforms
