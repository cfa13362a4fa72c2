#include "transforms/aws/aws_settings.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "policy/http_message.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;
constexpr int kAttempts = 3, kMostAttempts = 20;
constexpr std::size_t kLongestLabel = 63;

Task<Result<AwsConfigFile>> read_shared_file(Outside& outside, std::string path) {
  if (path.empty()) co_return AwsConfigFile();
  Result<Secret> read = co_await outside.read_file(path, kLargestFile);
  if (read.has_error() && read.error().fault == Fault::gone) co_return AwsConfigFile();
  const std::string where = "failed to load shared config file, " + path + ", ";
  if (read.has_error()) co_return fail(where + read.error().text);
  Result<AwsConfigFile> parsed = AwsConfigFile::parse(std::move(*read));
  if (parsed.has_error()) co_return fail(where + parsed.error().text);
  co_return std::move(parsed);
}

/// It becomes part of a host name.
bool is_label(std::string_view text) {
  return text.size() <= kLongestLabel && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-';
         });
}

Error bad_configuration(const std::string& why) {
  return fail("failed to resolve service endpoint, endpoint rule error, Invalid Configuration: " +
              why);
}

}  // namespace

std::string aws_file_path(const std::optional<std::string>& named,
                          const std::optional<std::string>& home,
                          std::string_view name) {
  if (named) return *named;
  return home ? *home + "/.aws/" + std::string(name) : std::string();
}

Task<Result<AwsSettings>> AwsSettings::load(Outside& outside, std::string region) {
  AwsSettings settings(outside);
  const auto home = outside.variable("HOME");
  const std::string config_path =
      aws_file_path(outside.variable("AWS_CONFIG_FILE"), home, "config");
  Result<AwsConfigFile> config = co_await read_shared_file(outside, config_path);
  if (config.has_error()) co_return config.error();
  settings.config_ = std::move(*config);
  const std::string credentials_path =
      aws_file_path(outside.variable("AWS_SHARED_CREDENTIALS_FILE"), home, "credentials");
  Result<AwsConfigFile> credentials = co_await read_shared_file(outside, credentials_path);
  if (credentials.has_error()) co_return credentials.error();
  settings.credentials_ = std::move(*credentials);

  auto named = outside.variable("AWS_PROFILE");
  if (!named) named = outside.variable("AWS_DEFAULT_PROFILE");
  settings.profile_ = named.value_or("default");
  if (named && !settings.has_profile(*named)) {
    co_return fail("failed to get shared config profile, " + *named);
  }
  for (const char* variable : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (region.empty()) region = outside.variable(variable).value_or("");
  }
  if (region.empty()) region = settings.text(settings.profile_, "region").value_or("");
  settings.region_ = std::move(region);

  auto bundle = outside.variable("AWS_CA_BUNDLE");
  if (!bundle) bundle = settings.text(settings.profile_, "ca_bundle");
  if (bundle) {
    Result<Secret> anchors = co_await outside.read_file(*bundle, kLargestFile);
    if (anchors.has_error()) {
      co_return fail("failed to load custom CA bundle PEM file: " + anchors.error().text);
    }
    settings.anchors_ = std::make_shared<const Secret>(std::move(*anchors));
  }
  co_return std::move(settings);
}

bool AwsSettings::has_profile(std::string_view profile) const {
  return credentials_.has("", profile) || config_.has("profile", profile) ||
         (profile == "default" && config_.has("", profile));
}

std::optional<std::string_view> AwsSettings::find(std::string_view profile,
                                                  std::string_view setting) const {
  auto found = credentials_.find("", profile, setting);
  if (!found || found->empty()) found = find_in_profile(config_, profile, setting);
  return found && !found->empty() ? found : std::nullopt;
}

std::optional<std::string> AwsSettings::text(std::string_view profile,
                                             std::string_view setting) const {
  const auto found = find(profile, setting);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

Secret AwsSettings::key(std::string_view profile, std::string_view setting) const {
  const auto found = find(profile, setting);
  return found ? Secret::copy_of(*found) : Secret();
}

bool AwsSettings::is_on(const char* variable, std::string_view setting) const {
  auto value = outside_->variable(variable);
  if (!value) value = text(profile_, setting);
  return value && iequals(*value, "true");
}

std::optional<std::string> AwsSettings::configured_endpoint(const AwsService& service) const {
  if (is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls")) return {};
  if (auto url = outside_->variable(service.variable)) return url;
  if (service.general_endpoint) {
    if (auto url = outside_->variable("AWS_ENDPOINT_URL")) return url;
  }
  if (const auto services = text(profile_, "services")) {
    const auto url = config_.find_nested("services", *services, service.setting, "endpoint_url");
    if (url && !url->empty()) return std::string(*url);
  }
  return service.general_endpoint ? text(profile_, "endpoint_url") : std::nullopt;
}

Result<policy::Url> AwsSettings::endpoint(const AwsService& service) const {
  if (auto url = configured_endpoint(service)) return policy::Url::parse(*url);
  if (region_.empty()) return bad_configuration("Missing Region");
  if (!is_label(region_)) return bad_configuration("Region is no host label");
  std::string host(service.name);
  if (is_on("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")) host += "-fips";
  host.append(".").append(region_);
  const bool china = region_.starts_with("cn-");
  if (service.dual_stack && is_on("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")) {
    host += china ? ".api.amazonwebservices.com.cn" : ".api.aws";
  } else {
    host += china ? ".amazonaws.com.cn" : ".amazonaws.com";
  }
  return policy::Url::parse("https://" + host + "/");
}

int AwsSettings::attempts() const {
  auto written = outside_->variable("AWS_MAX_ATTEMPTS");
  if (!written) written = text(profile_, "max_attempts");
  if (!written) return kAttempts;
  int attempts = 0;
  const char* const end = written->data() + written->size();
  const auto [stop, fault] = std::from_chars(written->data(), end, attempts);
  return fault == std::errc() && stop == end && attempts > 0 ? std::min(attempts, kMostAttempts)
                                                             : kAttempts;
}

}  // namespace iron::transforms
