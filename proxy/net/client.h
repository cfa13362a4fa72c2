#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "policy/match/host.h"
#include "proxy/log/recorder.h"
#include "proxy/net/connection.h"
#include "proxy/net/own_upstreams.h"
#include "proxy/net/peer.h"

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

/// What policy asks of a client. Views of its connection.
struct ClientFacts {
  std::string_view remote_address;            ///< `ip:port`
  bool over_tls = false;                      ///< under a leaf of ours
  std::string_view sni;                       ///< as sent; empty without TLS
  std::string_view server_name;               ///< the same, folded
  const policy::Authority* tunnel = nullptr;  ///< its target, which has a port; null outside
};

/// Who is at the other end of a client connection, for all that is served on it: where it came
/// from, over which TLS, in which tunnel, what its records say of it, and which upstream
/// connections are its own. Knows nothing of its bytes.
class Client {
 public:
  /// All outlive it.
  Client(Recorder& recorder, const Connection& connection, Entry entry, const Peer& peer);
  Client(const Client&) = delete;

  Entry entry() const { return entry_; }
  const Peer& peer() const { return peer_; }
  const std::string& remote_address() const { return remote_address_; }
  bool over_tls() const { return connection_.stream().is_tls(); }
  const Tunnel* tunnel() const { return tunnel_.get(); }
  void set_tunnel(std::unique_ptr<Tunnel> tunnel) { tunnel_ = std::move(tunnel); }
  /// A request came, or something that is answered or recorded like one.
  void note_request() {
    if (tunnel_ != nullptr) tunnel_->used = true;
  }
  ClientFacts facts() const;

  /// What its records say of this connection.
  Arrival arrival();
  /// Inside a tunnel a refusal that names no host gets the tunnel's.
  void record_refusal(const Refusal& refusal);
  /// To be awaited before anything tells the client that an answer is over.
  RecordBatch::Wait& recorded() { return recorded_; }

  /// Upstream connections that no other client may use.
  OwnUpstreams& own_upstreams() { return own_upstreams_; }
  /// Holds the upstream connection that is worked with, for long sleeps; see
  /// UpstreamConnection::set_user.
  Connection** upstream_slot() { return &upstream_; }

 protected:
  ~Client() = default;
  Connection* upstream() const { return upstream_; }

 private:
  std::optional<Record::Tls> tls_info() const;

  Recorder& recorder_;
  const Connection& connection_;
  const Entry entry_;
  const Peer peer_;
  const std::string remote_address_;
  RecordBatch::Wait recorded_;
  std::unique_ptr<Tunnel> tunnel_;
  Connection* upstream_ = nullptr;
  OwnUpstreams own_upstreams_;
};

}  // namespace iron::proxy
