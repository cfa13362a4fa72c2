#pragma once

#include <string>

#include "transforms/aws/aws_access.h"
#include "transforms/supply.h"

namespace iron::transforms {

/// The program's own keys for AWS as something that requests wait for. Of what is supplied `value`
/// is the secret access key; `keys` are the access key and the session token, which may be empty.
class AwsWorkload final : public Supply {
 public:
  /// While a pipeline is built. `region` is where STS is asked.
  AwsWorkload(std::string region, const BuildContext& context);
  Task<Supplied> fetch(Outside& outside) override;

 private:
  const std::string region_;
  AwsAccess access_;
};

}  // namespace iron::transforms
