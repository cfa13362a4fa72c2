#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "proxy/http/body_source.h"
#include "proxy/http1/body_reader.h"
#include "proxy/net/connection.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {

/// The body of a message on an HTTP/1 connection, of a request or of an answer. Its bytes stay in
/// `input`, behind which those of the next message may lie.
class Http1Body final : public BodySource {
 public:
  struct Place {
    Connection& connection;
    Buffer& input;  ///< what came behind the head; not held while nothing is there to be read
    BufferPool& buffers;
    bool sensitive = false;  ///< what comes may show a key
  };
  /// The place outlives it.
  Http1Body(const Place& place, const BodyFraming& framing, ChunkLines lines)
      : place_(place), reader_(framing, lines) {}

  Step read(std::string_view& bytes, From from = From::peer) override;
  void consume(std::size_t count) override;
  void drop() override { consume(piece_.size()); }
  bool done() const override { return reader_.done(); }
  std::uint64_t remaining() const override { return reader_.remaining(); }
  std::uint64_t size() const override { return size_; }
  bool buffered() const override { return !place_.input.empty(); }
  Ahead look_ahead() const override { return reader_.look_ahead(place_.input.view().substr(raw_)); }
  std::size_t take_arrived() override { return std::exchange(arrived_, 0); }
  void end_bulk() override;
  std::string_view problem() const override { return problem_; }
  void keep_trailers() override { reader_.keep_trailers(); }
  std::string_view trailers() const override { return reader_.trailers(); }

 private:
  Step fill();
  Step take_in(const IoResult& result);

  Place place_;
  BodyReader reader_;
  std::string_view piece_;  ///< read and not consumed; in the input
  std::size_t raw_ = 0;     ///< bytes of the input that piece_ stands for, framing included
  std::uint64_t size_ = 0;
  std::size_t arrived_ = 0;
  std::string problem_;
  bool bulk_ = false;
};

}  // namespace iron::proxy
