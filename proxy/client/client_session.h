#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/host.h"
#include "policy/match/ip_address.h"
#include "proxy/client/tunnel.h"
#include "proxy/exchange/site.h"
#include "proxy/log/recorder.h"
#include "proxy/net/closing.h"
#include "proxy/net/connection.h"
#include "proxy/net/dialer.h"
#include "proxy/net/own_upstreams.h"
#include "proxy/net/peer.h"
#include "proxy/wait/buffers.h"
#include "proxy/wait/task.h"

namespace iron::proxy {

class BodyReader;
class BoundSocket;

/// A CONNECT or SOCKS5 target that was let through.
struct Tunnel {
  std::string target;           ///< `host:port` as records show it
  policy::Authority authority;  ///< its host, and a port always
  std::string rendered;         ///< `"tunnel":{…}` of the records inside
  SteadyTime opened{};
  bool used = false;            ///< a request came, or what was refused in its place
  bool passes_through = false;  ///< relayed without a look inside (`proxy.passthrough`)
};

/// One client connection from accept to close, on one worker. The object owns what lives as long as
/// the connection; what belongs to one request is in RequestHandler. An idle tunnel holds no
/// buffer.
class ClientSession final : public Abandonment, public LongSleep {
 public:
  /// Serves the accepted socket on `site`; must be called on its worker's thread. The
  /// connection was counted by the gate, and is counted out at the end.
  /// Never throws: without memory the connection is closed.
  static void launch(Site& site, BoundSocket socket, Entry entry, const Peer& peer);

  ~ClientSession() override;

  Site& site() { return site_; }
  Pause& pause() { return pause_; }
  Connection& client() { return client_; }
  Buffer& input() { return input_; }
  Entry entry() const { return entry_; }
  const std::string& remote_address() const { return remote_address_; }
  const Peer& peer() const { return peer_; }
  const Tunnel* tunnel() const { return tunnel_.get(); }
  void set_tunnel(std::unique_ptr<Tunnel> tunnel) { tunnel_ = std::move(tunnel); }
  /// A request came, or something that is answered or recorded like one.
  void note_request() {
    if (tunnel_ != nullptr) tunnel_->used = true;
  }
  bool over_tls() const { return client_.stream().is_tls(); }

  /// Waits, without holding a buffer, until bytes are in input(). False: deadline, drain, or the
  /// client's end.
  Task<bool> await_bytes(policy::Duration timeout);
  /// Reads more into input(), which grows up to `limit`. Io::error when input is full.
  Task<Io> read_more(std::size_t limit);
  /// Sends all of it; what this session recorded has left before. False: the client is gone, or
  /// took nothing for too long.
  Task<bool> send(std::string_view bytes);
  /// To be awaited before anything tells the client that an answer is over, unless send() does.
  RecordBatch::Wait& recorded() { return recorded_; }
  /// Has the connection end with linger(), once all that served its last request is gone.
  void close_gently(CloseClock::After after = CloseClock::After::answer) { close_ = after; }
  bool closes_gently() const { return close_.has_value(); }

  /// What the client's side did while an answer is awaited or written.
  enum class ClientState { present, half_closed, gone };
  ClientState poll_client();
  ClientState client_state() const { return client_state_; }
  bool abandoned() override;
  void on_long_sleep() override;
  /// Holds the upstream connection that the session works with, for long sleeps; see
  /// UpstreamConnection::set_user.
  Connection** upstream_slot() { return &upstream_; }
  /// Upstream connections that no other client may use.
  OwnUpstreams& own_upstreams() { return own_upstreams_; }
  /// The request is complete: an end of the client's side is judged from now on
  /// (docs/life-of-a-request.md, "Gone or half-closed").
  void request_complete(bool complete) { request_complete_ = complete; }
  /// Reads the body while request_complete() is not told yet: what is left of it may all have come.
  /// Null once there is no such reader any more.
  void set_body(const BodyReader* body) { body_ = body; }
  SteadyTime half_close_deadline() const { return half_close_deadline_; }

  /// What its records say of this connection.
  Arrival arrival();
  /// Inside a tunnel a refusal that names no host gets the tunnel's.
  void record_refusal(const Refusal& refusal);

 private:
  ClientSession(Site& site, int descriptor, Entry entry, const Peer& peer);
  static std::unique_ptr<ClientSession> make(Site& site,
                                             BoundSocket socket,
                                             Entry entry,
                                             const Peer& peer);
  static Task<void> own_and_run(std::unique_ptr<ClientSession> session);
  bool has_whole_request() const;
  Task<void> run();
  Task<void> close_after_answer(CloseClock::After after);
  enum class Place { listener, tunnel };
  Task<bool> begin();
  // tunnel.cc
  Task<bool> enter_tunnel();
  Task<TunnelProtocol> detect_protocol();
  void refuse_protocol();
  void report_unused_tunnel();
  Task<bool> handshake(Place place);
  std::optional<Record::Tls> tls_info();
  void log_handshake_failure(Place place, const std::string& error);
  /// Tells of a client that refuses our certificate, the commonest fault of a new installation.
  void note_distrust();

  Site& site_;
  Pause pause_;
  Connection client_;
  Buffer input_;
  Entry entry_;
  Peer peer_;
  std::string remote_address_;
  RecordBatch::Wait recorded_;
  std::unique_ptr<Tunnel> tunnel_;
  Connection* upstream_ = nullptr;
  OwnUpstreams own_upstreams_;
  BodyShare input_share_;  ///< a head above 64 KiB counts as a body held in memory
  ClientState client_state_ = ClientState::present;
  SteadyTime half_close_deadline_ = SteadyTime::max();
  bool request_complete_ = false;
  const BodyReader* body_ = nullptr;
  std::optional<CloseClock::After> close_;
};

}  // namespace iron::proxy
