#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "policy/task.h"
#include "proxy/admin/web_handler.h"
#include "proxy/net/accept_loop.h"
#include "proxy/net/bound_socket.h"

namespace iron::proxy {

class Log;
class Site;

/// An HTTP/1 server for pages beside the proxy, on one worker. Its connections keep the head and
/// time limits of `proxy.limits`, do not count among `max_connections`, and go on while the proxy
/// drains.
class WebServer final : private AcceptLoop::Host {
 public:
  /// `name`: one of ListenFailed.
  WebServer(Log& log, BoundSocket socket, const char* name, std::unique_ptr<WebHandler> pages);
  ~WebServer();
  WebServer(const WebServer&) = delete;
  void listen();  ///< throws ListenFailed
  void start(Site& site);
  void stop();  ///< on the worker's thread

 private:
  void take(BoundSocket connection, const SocketAddress& peer) override;
  void failed(std::exception_ptr failure) override;
  Task<void> serve(BoundSocket connection, std::string remote);

  Log& log_;
  BoundSocket socket_;
  const char* name_;
  std::unique_ptr<WebHandler> pages_;
  Site* site_ = nullptr;
  std::optional<AcceptLoop> accepting_;
  std::size_t open_ = 0;  ///< connections
};

}  // namespace iron::proxy
