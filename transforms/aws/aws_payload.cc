#include "transforms/aws/aws_payload.h"

#include <string>
#include <utility>

#include "policy/http_message.h"
#include "transforms/annotations.h"
#include "transforms/auth/aws_chunks.h"
#include "transforms/auth/signing.h"
#include "transforms/rewrite.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kPiece = 16384;

class ChunkSigning final : public BodyChange {
 public:
  ChunkSigning(AwsSignature signature, AwsChunkSigner::Trailers trailers, std::size_t trace)
      : signature_(std::move(signature)), signer_(signature_, trailers), trace_(trace) {}

  Result<void> feed(std::string_view in, std::string& out) override {
    return noted(signer_.feed(in, out));
  }
  Result<void> end(std::string& out) override { return noted(signer_.end(out)); }

  void refuse(Exchange& exchange) override {
    Trace& trace = exchange.request_traces[trace_];
    trace.action = TraceAction::reject;
    exchange.rejected_by = trace.name;
    const bool too_large = why_.fault == Fault::body_too_large;
    Annotations annotations;
    if (too_large) {
      const auto declared = exchange.body.declared;
      annotations.integer("content_length", declared ? static_cast<std::int64_t>(*declared) : -1);
      annotations.integer("buffered_length", kLargestAwsChunk);
    } else {
      annotations.text("error", why_.text);
    }
    refuse_signing("aws_auth", exchange, trace, too_large ? 413 : 400,
                   too_large ? "body_truncated" : "body_read_failed", std::move(annotations));
  }

 private:
  Result<void> noted(Result<void> result) {
    if (result.has_error()) why_ = result.error();
    return result;
  }

  const AwsSignature signature_;
  AwsChunkSigner signer_;
  const std::size_t trace_;
  Error why_;
};

}  // namespace

AwsPayload aws_payload(const Exchange& exchange, bool presigned, bool never_signed) {
  const Field* field = exchange.request.headers.find("X-Amz-Content-Sha256");
  // A presigned URL cannot tell the hash of a body that comes later.
  const std::string_view said = field != nullptr ? field->value
                                : presigned      ? kUnsignedPayload
                                                 : std::string_view();
  for (const AwsPayload payload :
       {AwsPayload::unsigned_trailer, AwsPayload::chunks, AwsPayload::chunks_and_trailer}) {
    if (said == aws_payload_word(payload)) return payload;
  }
  const BodyView& body = exchange.body;
  if (!body.present) return AwsPayload::hashed;
  if (never_signed) return AwsPayload::not_signed;
  const bool too_long = body.declared && *body.declared > body.limit;
  const bool unsigned_before = said == kUnsignedPayload && exchange.client_tls;
  return unsigned_before && (!body.declared || too_long) ? AwsPayload::not_signed
                                                         : AwsPayload::hashed;
}

std::string_view aws_payload_word(AwsPayload payload) {
  switch (payload) {
    case AwsPayload::hashed:
      return {};
    case AwsPayload::not_signed:
      return kUnsignedPayload;
    case AwsPayload::unsigned_trailer:
      return "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    case AwsPayload::chunks:
      return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    case AwsPayload::chunks_and_trailer:
      return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
  }
  return {};
}

Result<HexDigest> leaving_body_hash(const BodyView& body) {
  if (body.parts.empty()) return payload_hash_of(body.bytes);
  Sha256 hash;
  Secret piece = Secret::sized(kPiece);
  BodyCursor cursor;
  while (const std::size_t size = write_body(body, cursor, piece.writable().data(), piece.size())) {
    hash.feed(piece.reveal().substr(0, size));
  }
  HexDigest digits{};
  if (!hash.finish(digits)) return fail("computing the AWS signature failed");
  return digits;
}

std::unique_ptr<BodyChange> sign_aws_chunks(AwsSignature signature,
                                            AwsPayload payload,
                                            std::size_t trace) {
  using Trailers = AwsChunkSigner::Trailers;
  const bool trailers = payload == AwsPayload::chunks_and_trailer;
  return std::make_unique<ChunkSigning>(
      std::move(signature), trailers ? Trailers::with_signature : Trailers::none, trace);
}

}  // namespace iron::transforms
