#pragma once

#include <memory>
#include <string_view>

#include "policy/result.h"
#include "transforms/annotations.h"
#include "transforms/auth/sigv4.h"
#include "transforms/exchange.h"

namespace iron::transforms {

/// How the body of a request to AWS is signed (Amazon S3, "Authenticating requests", payload
/// hashes).
enum class AwsPayload {
  hashed,             ///< its SHA-256, which takes the whole of it
  not_signed,         ///< `UNSIGNED-PAYLOAD`
  unsigned_trailer,   ///< in chunks without signatures, as the client says
  chunks,             ///< in chunks that carry signatures
  chunks_and_trailer  ///< the same with trailers
};
/// `presigned`: the client signed a URL. `never_signed`: the configuration wants it so.
AwsPayload aws_payload(const Exchange& exchange, bool presigned, bool never_signed);
/// What stands in the place of the hash; empty for AwsPayload::hashed.
std::string_view aws_payload_word(AwsPayload payload);

/// SHA-256 of the body as it leaves, which is loaded, or absent.
Result<HexDigest> leaving_body_hash(const BodyView& body);

/// Signs the chunks of the exchange's body with what its head was signed with, and tells of a
/// failure in the trace of this number.
std::unique_ptr<BodyChange> sign_aws_chunks(AwsSignature signature,
                                            AwsPayload payload,
                                            std::size_t trace);

}  // namespace iron::transforms
