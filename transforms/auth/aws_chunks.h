#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "transforms/auth/sigv4.h"

namespace iron::transforms {

inline constexpr std::size_t kLargestAwsChunk = std::size_t{1} << 20;

/// Signs the chunks of a body anew whose payload hash is `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` or
/// `…-TRAILER` (Amazon S3, "Transferring payload in multiple chunks", and the same including
/// trailing headers): the 64 digits of each signature are replaced in place, so that all lengths
/// stay. A chunk is held until its signature is known; nothing that breaks the framing is passed
/// on.
class AwsChunkSigner {
 public:
  enum class Trailers { none, with_signature };
  /// `seed` signed the head of the same request; a view, which outlives this object.
  AwsChunkSigner(const AwsSignature& seed, Trailers trailers);

  /// Appends to `out` what is signed. An error with the text `body_truncated` is a chunk above
  /// 1 MiB; after any error nothing is taken or given any more.
  Result<void> feed(std::string_view in, std::string& out);
  /// The body has ended; appends the trailers. Fails if the body is not whole.
  Result<void> end(std::string& out);
  /// Bytes of data in the chunks so far: what `x-amz-decoded-content-length` promises.
  std::uint64_t decoded_size() const { return decoded_; }

 private:
  enum class State { line, data, data_end, trailers, done, failed };
  Result<void> take_line(std::string_view& in, std::string& out);
  Result<void> take_data(std::string_view& in, std::string& out);
  Result<void> take_trailers(std::string_view& in);
  Result<void> read_line();
  Result<void> give_chunk(std::string& out);
  /// Signs a digest of a chunk or of trailers; what is signed next follows on it.
  Result<void> sign(std::string_view words);
  Error broken(std::string_view why);

  const AwsSignature& seed_;
  const Trailers trailers_;
  State state_ = State::line;
  Secret previous_;   ///< the last signature
  std::string line_;  ///< of the chunk that is held, with its line break; the trailers at the end
  std::string data_;  ///< of that chunk, with the line break behind it
  std::size_t size_ = 0;  ///< of that chunk
  std::uint64_t decoded_ = 0;
};

}  // namespace iron::transforms
