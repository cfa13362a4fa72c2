#pragma once

#include <memory>
#include <string>

#include "policy/task.h"
#include "proxy/client/tunnel.h"
#include "proxy/exchange/site.h"
#include "proxy/net/bound_socket.h"
#include "proxy/net/client_connection.h"

namespace iron::proxy {

/// One client from accept to close: what it speaks first, TLS, tunnels, and who serves what it
/// speaks then. Owns its connection; what belongs to one request is in its ClientStream.
class ClientSession final {
 public:
  /// Serves the accepted socket on `site`; must be called on its worker's thread. The
  /// connection was counted by the gate, and is counted out at the end.
  /// Never throws: without memory the connection is closed.
  static void launch(Site& site, BoundSocket socket, Entry entry, const Peer& peer);

  ~ClientSession();
  ClientSession(const ClientSession&) = delete;

  Site& site() { return site_; }
  ClientConnection& client() { return client_; }
  const ClientConnection& client() const { return client_; }

 private:
  ClientSession(Site& site, int descriptor, Entry entry, const Peer& peer);
  static std::unique_ptr<ClientSession> make(Site& site,
                                             BoundSocket socket,
                                             Entry entry,
                                             const Peer& peer);
  static Task<void> own_and_run(std::unique_ptr<ClientSession> session);
  Task<void> run();
  enum class Place { listener, tunnel };
  Task<bool> begin();
  // tunnel.cc
  Task<bool> enter_tunnel();
  Task<TunnelProtocol> detect_protocol();
  void refuse_protocol();
  void report_unused_tunnel();
  Task<bool> handshake(Place place);
  void log_handshake_failure(Place place, const std::string& error);
  /// Tells of a client that refuses our certificate, the commonest fault of a new installation.
  void note_distrust();

  Site& site_;
  ClientConnection client_;
};

}  // namespace iron::proxy
