#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>

#include "policy/http_message.h"
#include "policy/secret/secret.h"
#include "proxy/admin/reload.h"
#include "proxy/net/bound_socket.h"
#include "proxy/wait/pause.h"
#include "proxy/wait/task.h"

namespace iron::proxy {

class Log;
class Site;

/// The metrics listener (`/healthz`) and the management API (`/v1/reload`), on one worker. They
/// keep the head and time limits of `proxy.limits`, do not count as connections, and go on while
/// the proxy drains. See docs/management.md.
class Admin {
 public:
  /// `key` may be null for the metrics listener; `reload` too.
  struct Role {
    enum class Kind { metrics, management } kind = Kind::metrics;
    const Secret* key = nullptr;
    Reload* reload = nullptr;
  };
  Admin(Log& log, BoundSocket socket, const Role& role);
  ~Admin();
  void listen();  ///< throws ListenFailed
  void start(Site& site);
  void stop();  ///< on the worker's thread
  std::string address() const { return socket_.local_address(); }
  std::uint16_t port() const { return socket_.local_port(); }

 private:
  struct Accepting;
  Task<void> accept_all();
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

  Log& log_;
  BoundSocket socket_;
  Role role_;
  Site* site_ = nullptr;
  std::unique_ptr<Accepting> accepting_;
  SteadyTime last_failure_noted_{};
};

}  // namespace iron::proxy
