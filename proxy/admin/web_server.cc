#include "proxy/admin/web_server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <chrono>
#include <exception>
#include <utility>

#include "proxy/admin/web_session.h"
#include "proxy/exchange/site.h"
#include "proxy/log/log.h"

namespace iron::proxy {
namespace {

constexpr std::size_t kMostConnections = 256;
/// In accepting, when descriptors have run out.
constexpr auto kPause = std::chrono::milliseconds(100);

}  // namespace

struct WebServer::Accepting {
  Accepting(EventLoop& loop, int descriptor)
      : socket(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)),
        watch(loop, socket.get(), Watch::Kind::listener),
        pause(loop) {
    watch.set_pause(&pause);
  }
  BoundSocket socket;
  Watch watch;  // behind the socket: it lets go of the descriptor before that is closed
  Pause pause;
  std::size_t open = 0;
  bool stopped = false;
};

WebServer::WebServer(Log& log,
                     BoundSocket socket,
                     const char* name,
                     std::unique_ptr<WebHandler> pages)
    : log_(log), socket_(std::move(socket)), name_(name), pages_(std::move(pages)) {}

WebServer::~WebServer() = default;

void WebServer::listen() {
  if (socket_.listen(SOMAXCONN)) return;
  throw ListenFailed{name_,
                     "listen tcp " + socket_.local_address() + ": bind: address already in use"};
}

void WebServer::start(Site& site) {
  site_ = &site;
  accepting_ = std::make_unique<Accepting>(site.loop(), socket_.get());
  proxy::start(accept_all(), [this](std::exception_ptr failure) { log_.session_failed(failure); });
}

void WebServer::stop() {
  if (!accepting_) return;
  accepting_->stopped = true;
  accepting_->pause.wake();
}

Task<void> WebServer::accept_all() {
  while (!accepting_->stopped) {
    accepting_->watch.arm_read();
    co_await accepting_->pause;
    if (accepting_->stopped || !accepting_->watch.readable()) continue;
    accepting_->watch.clear_readable();
    if (accept_one()) continue;
    accepting_->pause.set_timeout(kPause);
    while (!accepting_->stopped && !accepting_->pause.expired()) co_await accepting_->pause;
    accepting_->pause.clear_deadline();
  }
}

/// False: there is no descriptor or memory, and whoever waits is still there at the next look.
bool WebServer::accept_one() {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  BoundSocket accepted(::accept4(accepting_->socket.get(), reinterpret_cast<sockaddr*>(&peer),
                                 &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (accepted.get() < 0) {
    return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
  }
  if (accepting_->open < kMostConnections) start_session(std::move(accepted), peer);
  return true;
}

void WebServer::start_session(BoundSocket connection, const sockaddr_storage& peer) {
  try {
    proxy::start(serve(std::move(connection), peer_text(peer)),
                 [this](std::exception_ptr failure) { log_.session_failed(failure); });
  } catch (const std::exception&) {
    log_.session_failed(std::current_exception());
  }
}

Task<void> WebServer::serve(BoundSocket connection, std::string remote) {
  struct Leave {
    std::size_t& open;
    ~Leave() { --open; }
  } leave{accepting_->open};
  ++accepting_->open;
  WebSession session(*site_, *pages_, std::move(connection), std::move(remote));
  co_await session.run();
}

}  // namespace iron::proxy
