#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/auth/aws_credentials.h"
#include "transforms/auth/digest.h"
#include "transforms/auth/sigv4_canonical.h"

namespace iron::transforms {

inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

/// A request as it leaves. Views, which live until sign_aws has returned.
struct AwsRequest {
  std::string_view method;
  std::string_view path;   ///< percent-encoded, as on the wire
  std::string_view query;  ///< without `?`, as on the wire
  /// `host` and what else is to be signed, without the fields that the signature sets.
  std::span<const SignedField> fields;
  std::string_view payload_hash;  ///< lower case hex of SHA-256, or a word of AWS for it
  std::string_view region;        ///< may be empty
  std::string_view service;
  std::chrono::sys_seconds time;
};

/// To be sent: `Authorization`, `X-Amz-Date`, `X-Amz-Content-Sha256` (the payload hash) and, with a
/// session token, `X-Amz-Security-Token`. The rest is what signatures of chunks begin with.
struct AwsSignature {
  Secret authorization;
  std::string date;    ///< `20261124T084434Z`
  std::string scope;   ///< `20261124/us-west-2/s3/aws4_request`
  Secret signature;    ///< the 64 digits, the seed of a chunked body
  Secret signing_key;  ///< of that day, region and service
};

/// AWS Signature Version 4 (AWS, "Create a signed AWS API request"). Fails only if OpenSSL does.
Result<AwsSignature> sign_aws(const AwsRequest& request, const AwsCredentials& credentials);

/// HMAC of `text` with a signing key, as 64 digits.
Result<Secret> aws_signature_of(const Secret& signing_key, std::string_view text);

/// SHA-256 of a body, as a payload hash.
Result<HexDigest> payload_hash_of(std::string_view body);

/// Whether a field of a client is signed anew: `host`, `content-type`, `content-md5` and `x-amz-*`
/// but for the four that a signature sets. Other fields may change on the way.
bool is_signed_field(std::string_view name);
/// One of the four fields that are removed from a client's request and set by its new signature.
bool is_signature_field(std::string_view name);

/// Services whose path is encoded once.
bool is_s3_family(std::string_view service);

}  // namespace iron::transforms
