#include "transforms/aws/aws_workload.h"

#include <utility>

namespace iron::transforms {

AwsWorkload::AwsWorkload(std::string region, const BuildContext& context)
    : region_(std::move(region)), access_(context) {
  context.needs.supplies.push_back(this);
}

/// A failure is for those who waited; the next request tries again.
Task<Supplied> AwsWorkload::fetch(Outside& outside) {
  Supplied out;
  const Result<AwsSettings> settings = co_await AwsSettings::load(outside, region_);
  if (settings.has_error()) {
    out.error = "loading AWS config: " + settings.error().text;
    co_return std::move(out);
  }
  const Result<AwsCredentialsPtr> keys = co_await access_.credentials(outside, *settings);
  if (keys.has_error()) {
    out.error = keys.error().text;
    co_return std::move(out);
  }
  out.value = SecretPtr(*keys, &(*keys)->secret_access_key);
  out.keys = {SecretPtr(*keys, &(*keys)->access_key_id), SecretPtr(*keys, &(*keys)->session_token)};
  out.until_ns = INT64_MAX;
  if (const auto again = access_.wanted_again()) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(*again - outside.now());
    out.until_ns = outside.monotonic_ns() + left.count();
  }
  co_return std::move(out);
}

}  // namespace iron::transforms
