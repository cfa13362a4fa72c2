#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/auth/aws_credentials.h"

namespace iron::transforms {

/// RFC 3339 section 5.6; a fraction of a second is cut off. Nothing if it is anything else.
std::optional<std::chrono::sys_seconds> parse_rfc3339(std::string_view text);

/// Answers that hand out keys. Errors never quote them; at most 1 MiB of an answer is read.

/// `action` (`AssumeRole`, `AssumeRoleWithWebIdentity`) of STS, 2xx: XML.
Result<AwsCredentials> read_sts_answer(const Secret& body, std::string_view action);

enum class AwsJsonAnswer {
  container,  ///< of AWS_CONTAINER_CREDENTIALS_*: `Token`
  instance,   ///< of the instance metadata: `Token`, and `Code` is `Success`
  process,    ///< of a `credential_process`: `SessionToken`, and `Version` is 1
};
Result<AwsCredentials> read_aws_json_answer(const Secret& body, AwsJsonAnswer kind);

}  // namespace iron::transforms
