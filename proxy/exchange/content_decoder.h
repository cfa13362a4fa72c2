#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace iron::proxy {

/// Takes a body out of `gzip` or `deflate` (RFC 9110 section 8.4.1) piece by piece. What it gives
/// is bounded: 64 MiB in all, and 100 times what came in. Its memory is wiped when it ends, since
/// the text may hold a key.
class ContentDecoder {
 public:
  enum class Coding { gzip, deflate };
  enum class Status { ok, fault, too_large };

  explicit ContentDecoder(Coding coding);
  ~ContentDecoder();
  ContentDecoder(const ContentDecoder&) = delete;
  ContentDecoder& operator=(const ContentDecoder&) = delete;

  struct Piece {
    std::string_view text;  ///< valid until the next call
    Status status = Status::ok;
    bool more = false;  ///< call again, even with nothing left of `input`
  };
  /// Decodes from the front of `input`, which it cuts.
  Piece next(std::string_view& input);
  /// The encoded form may end here: it is complete, or nothing of it came.
  bool complete() const;

 private:
  struct State;
  bool start(unsigned char first);

  Coding coding_;
  std::unique_ptr<State> state_;
};

}  // namespace iron::proxy
