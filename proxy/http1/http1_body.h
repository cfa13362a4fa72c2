#pragma once

#include <utility>

#include "proxy/http/body_source.h"
#include "proxy/http1/body_reader.h"
#include "proxy/net/client_connection.h"

namespace iron::proxy {

/// The body of a request on an HTTP/1 connection. Its bytes stay in the connection's input, behind
/// which those of the next request may lie.
class Http1Body final : public BodySource {
 public:
  /// The connection outlives it.
  Http1Body(ClientConnection& client, const BodyFraming& framing)
      : client_(client), reader_(framing) {}

  Step read(std::string_view& bytes) override;
  void consume(std::size_t count) override;
  void drop() override { consume(piece_.size()); }
  bool done() const override { return reader_.done(); }
  std::uint64_t remaining() const override { return reader_.remaining(); }
  std::uint64_t size() const override { return size_; }
  bool buffered() const override { return !piece_.empty() || !client_.input().empty(); }
  Ahead look_ahead() const override;
  std::size_t take_arrived() override { return std::exchange(arrived_, 0); }
  void end_bulk() override;

 private:
  Step fill();

  ClientConnection& client_;
  BodyReader reader_;
  std::string_view piece_;  ///< read and not consumed; in the connection's input
  std::size_t raw_ = 0;     ///< bytes of the input that piece_ stands for, framing included
  std::uint64_t size_ = 0;
  std::size_t arrived_ = 0;
  bool bulk_ = false;
};

}  // namespace iron::proxy
