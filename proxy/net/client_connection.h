#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "policy/duration.h"
#include "policy/task.h"
#include "proxy/log/recorder.h"
#include "proxy/net/body_budget.h"
#include "proxy/net/client.h"
#include "proxy/net/closing.h"
#include "proxy/net/connection.h"
#include "proxy/net/peer.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {

/// One client connection, whatever is spoken on it: the client, its socket with its TLS, and what
/// has come and was not used. What belongs to one request is in its ClientStream. An idle one holds
/// no buffer.
class ClientConnection final : public Client, public LongSleep {
 public:
  /// What it takes part in; outlives it.
  struct Surroundings {
    EventLoop& loop;
    BufferPool& buffers;
    BodyBudget& body_budget;
    Recorder& recorder;
    std::atomic<std::uint64_t>& released;  ///< counts what gave its buffers back
  };
  ClientConnection(const Surroundings& surroundings, int descriptor, Entry entry, const Peer& peer);

  Pause& pause() { return pause_; }
  EventLoop& loop() { return pause_.loop(); }
  Connection& connection() { return connection_; }
  tls::Stream& stream() { return connection_.stream(); }
  const tls::Stream& stream() const { return connection_.stream(); }
  Buffer& input() { return input_; }
  const Buffer& input() const { return input_; }
  BufferPool& buffers() { return buffers_; }
  /// Room for the next read in input(), which is empty or not held.
  void take_input(std::size_t capacity) { input_ = buffers_.take(capacity); }

  /// Waits, without holding a buffer, until bytes are in input(). False: deadline, drain, or the
  /// client's end.
  Task<bool> await_bytes(policy::Duration timeout);
  /// A wait for its bytes ended with an error of the connection.
  bool broke() const { return broke_; }
  /// Reads more into input(), which grows up to `limit`. Io::error when input is full.
  Task<Io> read_more(std::size_t limit);
  /// Sends all of it; what this connection has records of has left before. False: the client is
  /// gone, or took nothing for stall_timeout().
  Task<bool> send(std::string_view bytes);
  void set_stall_timeout(policy::Duration timeout) { stall_timeout_ = timeout; }
  /// Has the connection end with linger(), once all that served its last request is gone.
  void close_gently(CloseClock::After after = CloseClock::After::answer) { close_ = after; }
  bool closes_gently() const { return close_.has_value(); }
  /// That end, if it was asked for.
  Task<void> finish(ClosesUnderWay& closes);

  void on_long_sleep() override;

 private:
  BufferPool& buffers_;
  std::atomic<std::uint64_t>& released_;
  Pause pause_;
  Connection connection_;
  Buffer input_;
  BodyShare input_share_;  ///< a head above 64 KiB counts as a body held in memory
  policy::Duration stall_timeout_{};
  std::optional<CloseClock::After> close_;
  bool broke_ = false;
};

}  // namespace iron::proxy
