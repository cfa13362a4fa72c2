#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policy/duration.h"
#include "policy/match/host.h"
#include "proxy/log/recorder.h"
#include "proxy/net/abandonment.h"
#include "proxy/net/body_budget.h"
#include "proxy/net/closing.h"
#include "proxy/net/connection.h"
#include "proxy/net/own_upstreams.h"
#include "proxy/net/peer.h"
#include "proxy/wait/buffers.h"
#include "proxy/wait/task.h"

namespace iron::proxy {

/// A CONNECT or SOCKS5 target that was let through.
struct Tunnel {
  std::string target;           ///< `host:port` as records show it
  policy::Authority authority;  ///< its host, and a port always
  std::string rendered;         ///< `"tunnel":{…}` of the records inside
  SteadyTime opened{};
  bool used = false;            ///< a request came, or what was refused in its place
  bool passes_through = false;  ///< relayed without a look inside (`proxy.passthrough`)
};

/// One client connection, whatever is spoken on it: the socket with its TLS, what has come and was
/// not used, the tunnel, and what its records say of it. What belongs to one request is in
/// ClientWatch and in who serves it. An idle one holds no buffer.
class ClientConnection final : public LongSleep {
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
  Entry entry() const { return entry_; }
  const Peer& peer() const { return peer_; }
  const std::string& remote_address() const { return remote_address_; }
  bool over_tls() const { return stream().is_tls(); }
  const Tunnel* tunnel() const { return tunnel_.get(); }
  void set_tunnel(std::unique_ptr<Tunnel> tunnel) { tunnel_ = std::move(tunnel); }
  /// A request came, or something that is answered or recorded like one.
  void note_request() {
    if (tunnel_ != nullptr) tunnel_->used = true;
  }

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
  /// To be awaited before anything tells the client that an answer is over, unless send() does.
  RecordBatch::Wait& recorded() { return recorded_; }
  /// Has the connection end with linger(), once all that served its last request is gone.
  void close_gently(CloseClock::After after = CloseClock::After::answer) { close_ = after; }
  bool closes_gently() const { return close_.has_value(); }
  /// That end, if it was asked for.
  Task<void> finish(ClosesUnderWay& closes);

  /// Holds the upstream connection that the session works with, for long sleeps; see
  /// UpstreamConnection::set_user.
  Connection** upstream_slot() { return &upstream_; }
  /// Upstream connections that no other client may use.
  OwnUpstreams& own_upstreams() { return own_upstreams_; }
  void on_long_sleep() override;

  /// What its records say of this connection.
  Arrival arrival();
  /// Inside a tunnel a refusal that names no host gets the tunnel's.
  void record_refusal(const Refusal& refusal);

 private:
  std::optional<Record::Tls> tls_info();

  BufferPool& buffers_;
  Recorder& recorder_;
  std::atomic<std::uint64_t>& released_;
  Pause pause_;
  Connection connection_;
  Buffer input_;
  Entry entry_;
  Peer peer_;
  std::string remote_address_;
  RecordBatch::Wait recorded_;
  std::unique_ptr<Tunnel> tunnel_;
  Connection* upstream_ = nullptr;
  OwnUpstreams own_upstreams_;
  BodyShare input_share_;  ///< a head above 64 KiB counts as a body held in memory
  policy::Duration stall_timeout_{};
  std::optional<CloseClock::After> close_;
  bool broke_ = false;
};

}  // namespace iron::proxy
