#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/http/body_source.h"
#include "proxy/http1/chunk_extension.h"
#include "proxy/http1/head_parser.h"

namespace iron::proxy {

/// Takes a message body out of its framing, piece by piece, without copying (RFC 9112 sections 6
/// and 7). Strict: chunk sizes are 1 to 16 hex digits, line ends CRLF, extensions bounded and
/// dropped; only an origin is let through a little more (ChunkLines). Independent of how the input
/// is split.
class BodyReader {
 public:
  BodyReader() = default;
  explicit BodyReader(const BodyFraming& framing, ChunkLines lines = ChunkLines::of_client);
  /// Trailers may echo a key, so they are wiped.
  ~BodyReader();
  BodyReader(const BodyReader&) = default;
  BodyReader& operator=(const BodyReader&) = default;

  struct Piece {
    std::size_t consumed = 0;  ///< bytes of the input that are done with, framing included
    std::string_view data;     ///< body bytes among them
    bool fault = false;        ///< broken framing; nothing can be read from then on
  };
  /// The next piece of `input`. Call again with what follows `consumed` until nothing is consumed.
  Piece next(std::string_view input);
  bool done() const { return state_ == State::done; }
  /// The peer ended its side: whether that completes the body.
  bool finish_at_eof();
  /// What `input` brings of the body that is still to come; nothing is read.
  using Ahead = BodySource::Ahead;
  Ahead look_ahead(std::string_view input) const;
  bool completes_with(std::string_view input) const { return look_ahead(input) == Ahead::complete; }
  /// Bytes still expected of a body with a length; 0 otherwise.
  std::uint64_t remaining() const { return chunked_ ? 0 : remaining_; }
  /// Trailer fields as received, `Name: value\r\n` each; only kept on request. At most 16 KiB. What
  /// an origin put between name and colon is not among them (RFC 9112 section 5.1).
  void keep_trailers() { keep_trailers_ = true; }
  const std::string& trailers() const { return trailers_; }

 private:
  enum class State {
    data,
    until_close,
    size_start,
    size,
    extension,
    size_lf,
    data_end_cr,
    data_end_lf,
    trailer,
    broken,
    done
  };
  bool chunk_byte(char c);  ///< false: broken framing
  Piece broken_at(std::size_t used);
  Piece trailer_line(std::string_view input);

  bool trailer_ended();

  ChunkLines lines_ = ChunkLines::of_client;
  ChunkExtension extension_;
  State state_ = State::done;
  bool chunked_ = false;
  bool keep_trailers_ = false;
  bool line_cr_ = false;
  std::uint64_t remaining_ = 0;
  int digits_ = 0;
  std::uint32_t extension_line_ = 0, extension_total_ = 0, trailer_bytes_ = 0;
  std::string line_;
  std::string trailers_;
};

}  // namespace iron::proxy
