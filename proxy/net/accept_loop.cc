#include "proxy/net/accept_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {
constexpr auto kFirstRest = std::chrono::milliseconds(100);
}  // namespace

AcceptLoop::AcceptLoop(EventLoop& loop,
                       const BoundSocket& socket,
                       Host& host,
                       std::chrono::milliseconds longest)
    : host_(host),
      socket_(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0)),
      watch_(loop, socket_.get(), Watch::Kind::listener),
      pause_(loop),
      longest_(longest),
      rest_(kFirstRest) {
  watch_.set_pause(&pause_);
}

void AcceptLoop::start() {
  iron::start(run(), [&host = host_](std::exception_ptr failure) { host.failed(failure); });
}

void AcceptLoop::stop() {
  stopped_ = true;
  pause_.wake();
}

Task<void> AcceptLoop::run() {
  while (!stopped_) {
    watch_.arm_read();
    co_await pause_;
    if (stopped_ || !watch_.readable()) continue;
    watch_.clear_readable();
    const int error = accept_one();
    if (error == 0 || host_.give_back(error)) continue;
    pause_.set_timeout(rest_);
    rest_ = std::min(rest_ * 2, longest_);
    while (!stopped_ && !pause_.expired()) co_await pause_;
    pause_.clear_deadline();
  }
}

/// The error for which no other connection can be had; 0: go on.
int AcceptLoop::accept_one() {
  if (!host_.has_room()) return EMFILE;
  SocketAddress peer;
  BoundSocket accepted(
      ::accept4(socket_.get(), peer.get(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (accepted.get() >= 0) {
    rest_ = kFirstRest;
    host_.take(std::move(accepted), peer);
    return 0;
  }
  const bool lacks = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
  return lacks ? errno : 0;
}

}  // namespace iron::proxy
