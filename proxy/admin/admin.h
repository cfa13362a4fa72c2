#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>

#include "policy/secret/secret.h"
#include "proxy/net/listener.h"
#include "proxy/run/reloader.h"

namespace iron::proxy {

/// The metrics listener (`/healthz`) and the management API (`/v1/reload`), on one worker. They
/// keep the head and time limits of `proxy.limits`, do not count as connections, and go on while
/// the proxy drains. See docs/management.md.
class Admin {
 public:
  /// `key` may be null for the metrics listener; `reloader` too.
  struct Role {
    enum class Kind { metrics, management } kind = Kind::metrics;
    const Secret* key = nullptr;
    Reloader* reloader = nullptr;
  };
  Admin(Services& services, BoundSocket socket, const Role& role);
  ~Admin();
  void listen();  ///< throws ListenFailed
  void start(Worker& worker);
  void stop();  ///< on the worker's thread
  std::string address() const { return socket_.local_address(); }
  std::uint16_t port() const { return socket_.local_port(); }

 private:
  struct Accepting;
  void accept_one();
  Task<void> serve(BoundSocket socket, std::string remote);
  void start_session(int descriptor, const sockaddr_storage& peer);
  Task<std::string> answer(Pause& pause,
                           const Request& request,
                           const std::string& remote,
                           bool close);
  Task<std::string> reload(Pause& pause,
                           const Request& request,
                           const std::string& remote,
                           bool close);
  void note_failed_authentication(const std::string& remote);

  Services& services_;
  BoundSocket socket_;
  Role role_;
  Worker* worker_ = nullptr;
  std::unique_ptr<Accepting> accepting_;
  SteadyTime last_failure_noted_{};
};

}  // namespace iron::proxy
