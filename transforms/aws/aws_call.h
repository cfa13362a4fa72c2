#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "policy/task.h"
#include "transforms/auth/aws_credentials.h"
#include "transforms/aws/aws_settings.h"
#include "transforms/outside.h"

namespace iron::transforms {

using AwsCredentialsPtr = std::shared_ptr<const AwsCredentials>;

/// What came of several attempts.
struct AwsAttempts {
  Result<CallAnswer> last;
  bool exhausted = false;  ///< the last one failed in a way that would have been tried again
};
/// Makes the request anew for each attempt, up to `most` of them. Tried again are failures to send,
/// 500, 502, 503, 504, and what `again` says.
Task<AwsAttempts> attempt_aws(Outside& outside,
                              int most,
                              std::function<Result<CallRequest>()> make,
                              std::function<bool(const CallAnswer&)> again = {});

/// A call of one operation.
struct AwsCall {
  enum class Errors { json, xml };
  const AwsService& service;
  std::string_view operation;
  std::vector<CallRequest::Field> fields;
  SecretPtr body;
  AwsCredentialsPtr keys;                      ///< sign it; null: it is not signed
  Errors errors;                               ///< how the service tells them
  std::span<const std::string_view> modelled;  ///< codes that errors name without `api error`
  std::vector<SecretPtr> sent;                 ///< no error may repeat it
};
/// The body of the answer. Errors read `operation error SERVICE: OPERATION, …`, hold at most 256
/// bytes of what the service said, and no key.
Task<Result<Secret>> call_aws(Outside& outside, const AwsSettings& settings, AwsCall call);

/// The value of `User-Agent`.
std::string own_user_agent();

}  // namespace iron::transforms
