#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/result.h"

namespace iron::transforms {

/// What a client's own signature says. The access key is the worthless one that the client holds.
struct AwsScope {
  std::string access_key, date, region, service;
  std::string signed_headers;  ///< `host;x-amz-date`
  std::string signature;
};

/// From `Authorization` if the request has one, else from the query of a presigned URL (AWS,
/// "Authenticating requests", by field and by query parameters). Errors are texts of the annotation
/// `error`.
Result<AwsScope> client_aws_scope(std::optional<std::string_view> authorization,
                                  std::string_view query);

/// Whether this parameter of a query (`name` or `name=value`, as on the wire) is one of the seven
/// that sign a presigned URL.
bool is_presigning_parameter(std::string_view parameter);

}  // namespace iron::transforms
