#include "proxy/admin/web_server.h"

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
/// From accepting, when descriptors have run out.
constexpr auto kRest = std::chrono::milliseconds(100);

}  // namespace

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
  AcceptLoop::Host& host = *this;
  accepting_.emplace(site.loop(), socket_, host, kRest);
  accepting_->start();
}

void WebServer::stop() {
  if (accepting_) accepting_->stop();
}

void WebServer::take(BoundSocket connection, const SocketAddress& peer) {
  if (open_ >= kMostConnections) return;
  try {
    iron::start(serve(std::move(connection), peer.text()),
                [this](std::exception_ptr failure) { failed(failure); });
  } catch (const std::exception&) {
    failed(std::current_exception());
  }
}

void WebServer::failed(std::exception_ptr failure) { log_.session_failed(failure); }

Task<void> WebServer::serve(BoundSocket connection, std::string remote) {
  struct Leave {
    std::size_t& open;
    ~Leave() { --open; }
  } leave{open_};
  ++open_;
  WebSession session(*site_, *pages_, std::move(connection), std::move(remote));
  co_await session.run();
}

}  // namespace iron::proxy
