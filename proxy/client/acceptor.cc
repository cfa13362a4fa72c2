#include "proxy/client/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "policy/errno_text.h"
#include "proxy/client/client_session.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"
#include "proxy/net/accept_loop.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {
constexpr int kBacklog = 4096;
constexpr auto kLongestRest = std::chrono::milliseconds(1000);

/// A client whose request finds no descriptor for its upstream is not served, so a quarter is kept
/// for that.
int descriptors_for_clients() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return INT_MAX;
  const auto all = static_cast<int>(std::min<rlim_t>(files.rlim_cur, INT_MAX));
  return all - std::max(all / 4, 16);
}

}  // namespace

/// One worker's view of the socket.
struct Acceptor::PerWorker final : AcceptLoop::Host {
  PerWorker(Acceptor& acceptor_in, Site& site_in)
      : acceptor(acceptor_in),
        site(site_in),
        loop(site.loop(), acceptor.socket_, *this, kLongestRest) {}

  bool has_room() override { return !near_the_limit || !acceptor.short_of_descriptors(); }
  void take(BoundSocket connection, const SocketAddress& peer) override {
    near_the_limit = connection.get() >= acceptor.last_descriptor_;
    acceptor.take(site, std::move(connection), {peer.address(), peer.port()});
  }
  bool give_back(int error) override {
    if (site.pool().idle_count() == 0) {
      acceptor.warn(error, site.loop().now());
      return false;
    }
    site.pool().drop_idle();  // kept for speed only
    return true;
  }
  void failed(std::exception_ptr failure) override { site.log().session_failed(failure); }

  Acceptor& acceptor;
  Site& site;
  AcceptLoop loop;
  bool near_the_limit =
      false;  ///< as the last descriptor it got says; the kernel gives out the lowest free one
};

Acceptor::Acceptor(Services& services, BoundSocket socket, Entry entry)
    : services_(services),
      socket_(std::move(socket)),
      entry_(entry),
      last_descriptor_(descriptors_for_clients()) {}

Acceptor::~Acceptor() = default;

void Acceptor::listen() {
  if (!socket_.listen(kBacklog)) {
    // SO_REUSEADDR lets two sockets bind as long as neither listens, so some conflicts show only
    // here.
    throw ListenFailed{ListenFailed::of(entry_), "listen tcp " + socket_.local_address() +
                                                     ": bind: " + policy::errno_text(errno)};
  }
}

void Acceptor::start(Site& site) {
  per_worker_.push_back(std::make_unique<PerWorker>(*this, site));
  per_worker_.back()->loop.start();
}

void Acceptor::stop(Site& site) {
  for (auto& own : per_worker_) {
    if (&own->site == &site && !own->loop.stopped()) own->loop.stop();
  }
}

void Acceptor::take(Site& site, BoundSocket connection, const Peer& peer) {
  try {
    if (services_.gate.enter(peer.address)) {
      ClientSession::launch(site, std::move(connection), entry_, peer);
      return;
    }
    Log& log = services_.log;
    auto failed = [&log](std::exception_ptr failure) { log.session_failed(failure); };
    iron::start(turn_away(site, std::move(connection), peer), failed);
  } catch (const std::bad_alloc&) {
    // The connection is closed, and the next one may find memory.
  }
}

/// Over the connection limit: a record, and an answer where the protocol is HTTP for certain.
Task<void> Acceptor::turn_away(Site& site, BoundSocket connection, Peer peer) {
  const std::string remote = peer.address.text_with_port(peer.port);
  RecordBatch::Wait recorded(site.recorder().batch());
  const Arrival arrival{.recorded = recorded, .address = peer.address, .remote_addr = remote};
  Refusal refusal;
  refusal.status = entry_ == Entry::http ? 503 : 400;
  refusal.error = "connection limit reached";
  site.recorder().refusal(arrival, refusal);
  co_await recorded;
  if (entry_ == Entry::http) refuse(connection.get());
}

/// As far as it fits.
void Acceptor::refuse(int descriptor) {
  const std::string answer = closing_answer("503 Service Unavailable");
  (void)::send(descriptor, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(descriptor, SHUT_WR);
  // What the client sent unasked would turn the close into a reset that overtakes the answer.
  std::array<char, 4096> dropped;
  (void)::recv(descriptor, dropped.data(), dropped.size(), MSG_DONTWAIT);
}

bool Acceptor::short_of_descriptors() const {
  const int next = ::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0);
  if (next >= 0) ::close(next);
  return next < 0 || next >= last_descriptor_;
}

void Acceptor::warn(int error, SteadyTime now) {
  if (!services_.paused_accepts.admit(now)) return;
  const std::string text =
      "accept tcp " + socket_.local_address() + ": accept4: " + policy::errno_text(error);
  services_.log.write(Level::warn, "accept paused", {{"error", text}});
}

}  // namespace iron::proxy
