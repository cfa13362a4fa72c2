#pragma once

#include <chrono>
#include <memory>

#include "policy/result.h"
#include "policy/task.h"
#include "transforms/aws/aws_call.h"
#include "transforms/aws/aws_settings.h"
#include "transforms/outside.h"
#include "transforms/registry.h"

namespace iron::transforms {

/// The program's own keys for AWS, searched when they are first needed and kept to their end. What
/// it keeps is touched on the thread of calls alone; one search at a time.
class AwsAccess {
 public:
  /// While a pipeline is built: takes the variables that are keys out of the environment, and names
  /// the files that a search may read.
  explicit AwsAccess(const BuildContext& context);

  Task<Result<AwsCredentialsPtr>> credentials(Outside& outside, const AwsSettings& settings);
  /// When new ones are wanted, if they have an end.
  std::optional<std::chrono::system_clock::time_point> wanted_again() const;

 private:
  AwsCredentialsPtr kept_;
  std::chrono::seconds early_{0};
};

}  // namespace iron::transforms
