#pragma once

#include <span>
#include <string>
#include <vector>

#include "policy/task.h"
#include "transforms/auth/token_answer.h"
#include "transforms/outside.h"

namespace iron::transforms {

/// A request to a token endpoint (docs/transforms.md, "Token requests").
struct TokenRequest {
  std::string endpoint;
  SecretPtr body;  ///< a form
  /// Further fields; one of a usual name takes its place.
  std::vector<CallRequest::Field> fields;
  TokenAnswerForm form = TokenAnswerForm::oauth2;
  std::vector<const Secret*> sent;  ///< what no error may repeat; they outlive the request
};

/// Sends it and reads the answer. A network error is a failure `Post "URL": …` with the reason
/// `mint_failed`.
Task<MintResult> request_token(Outside& outside, TokenRequest request);

/// Claims of an assertion that are the same for all who make one: `iat`, ten seconds ago, and `exp`
/// an hour later.
struct AssertionTimes {
  explicit AssertionTimes(std::chrono::system_clock::time_point now);
  std::int64_t issued, expires;
};
/// The body that trades a signed assertion for a token (RFC 7523 section 2.1).
SecretPtr assertion_body(const Secret& assertion);

/// From when on a token of that expiry is not used any more, by the monotonic clock: ten seconds
/// before; INT64_MAX without an expiry.
std::int64_t token_until_ns(const Outside& outside,
                            const std::optional<std::chrono::sys_seconds>& expiry);

}  // namespace iron::transforms
