#pragma once

#include <chrono>
#include <exception>
#include <functional>

#include "policy/task.h"
#include "proxy/net/bound_socket.h"
#include "proxy/wait/socket_address.h"
#include "proxy/wait/watch.h"

namespace iron::proxy {

/// Accepts on a listening socket for one loop, one connection at a time, so that an idle worker
/// gets the next one. Out of descriptors or memory it rests instead of spinning.
class AcceptLoop {
 public:
  /// Who wants the connections. Throws nothing.
  class Host {
   public:
    /// Asked before each; false is what the kernel says when it has no descriptor.
    virtual bool has_room() { return true; }
    virtual void take(BoundSocket connection, const SocketAddress& peer) = 0;
    /// There is no more, for `error` of errno(3). True: something was given back, and the next may
    /// be tried at once.
    virtual bool give_back(int) { return false; }
    virtual void failed(std::exception_ptr failure) = 0;

   protected:
    ~Host() = default;
  };
  /// `host` outlives it. The first rest takes 100 ms, each one behind it twice as long, up to
  /// `longest`. Throws std::bad_alloc.
  AcceptLoop(EventLoop& loop,
             const BoundSocket& socket,
             Host& host,
             std::chrono::milliseconds longest);
  AcceptLoop(const AcceptLoop&) = delete;

  /// On the loop's thread, or before it runs.
  void start();
  /// On the loop's thread, which must turn once more before the end of this.
  void stop();
  bool stopped() const { return stopped_; }

 private:
  Task<void> run();
  int accept_one();

  Host& host_;
  BoundSocket socket_;  ///< of its own, so that the loop has a place for it
  Watch watch_;         // behind the socket: it lets go of the descriptor before that is closed
  Pause pause_;
  const std::chrono::milliseconds longest_;
  std::chrono::milliseconds rest_;
  bool stopped_ = false;
};

}  // namespace iron::proxy
