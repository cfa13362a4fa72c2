#include "proxy/client/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>

#include "proxy/client/client_session.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"
#include "proxy/net/errno_text.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/wait/event_loop.h"
#include "proxy/wait/watch.h"

namespace iron::proxy {
namespace {
constexpr int kBacklog = 4096;
constexpr auto kFirstPause = std::chrono::milliseconds(100);
constexpr auto kLongestPause = std::chrono::milliseconds(1000);

/// A client whose request finds no descriptor for its upstream is not served, so a quarter is kept
/// for that.
int descriptors_for_clients() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return INT_MAX;
  const auto all = static_cast<int>(std::min<rlim_t>(files.rlim_cur, INT_MAX));
  return all - std::max(all / 4, 16);
}

}  // namespace

/// One worker's view of the socket, and the coroutine that accepts there.
struct Acceptor::PerWorker {
  PerWorker(Site& site_in, int descriptor)
      : site(site_in),
        socket(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)),
        watch(site.loop(), socket.get(), Watch::Kind::listener),
        pause(site.loop()) {
    watch.set_pause(&pause);
  }
  Site& site;
  BoundSocket socket;
  Watch watch;  // behind the socket: it lets go of the descriptor before that is closed
  Pause pause;
  std::chrono::milliseconds rest = kFirstPause;
  bool stopped = false;
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
    throw ListenFailed{ListenFailed::of(entry_),
                       "listen tcp " + socket_.local_address() + ": bind: " + errno_text(errno)};
  }
}

void Acceptor::start(Site& site) {
  per_worker_.push_back(std::make_unique<PerWorker>(site, socket_.get()));
  Log& log = services_.log;
  iron::proxy::start(accept_all(*per_worker_.back()),
                     [&log](std::exception_ptr failure) { log.session_failed(failure); });
}

void Acceptor::stop(Site& site) {
  for (auto& own : per_worker_) {
    if (&own->site != &site || own->stopped) continue;
    own->stopped = true;
    own->pause.wake();
  }
}

Task<void> Acceptor::accept_all(PerWorker& own) {
  while (!own.stopped) {
    own.watch.arm_read();
    co_await own.pause;
    if (own.stopped || !own.watch.readable()) continue;
    own.watch.clear_readable();
    const int error = accept_one(own);
    if (error == 0) continue;
    own.pause.set_timeout(own.rest);
    own.rest = std::min(own.rest * 2, std::chrono::milliseconds(kLongestPause));
    warn(error);
    while (!own.stopped && !own.pause.expired()) co_await own.pause;
    own.pause.clear_deadline();
  }
}

/// The error for which accepting has to rest; 0: go on.
int Acceptor::accept_one(PerWorker& own) {
  int error = EMFILE;
  if (!own.near_the_limit || !short_of_descriptors(own)) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    const int accepted = ::accept4(own.socket.get(), reinterpret_cast<sockaddr*>(&storage), &size,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      own.rest = kFirstPause;
      own.near_the_limit = accepted >= last_descriptor_;
      take(own.site, BoundSocket(accepted), peer_of(storage));
      return 0;
    }
    error = errno;
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM) return 0;
  }
  if (own.site.pool().idle_count() == 0) return error;
  own.site.pool().drop_idle();  // kept for speed only
  return 0;
}

void Acceptor::take(Site& site, BoundSocket connection, const Peer& peer) {
  try {
    if (services_.gate.enter(peer.address)) {
      ClientSession::launch(site, std::move(connection), entry_, peer);
      return;
    }
    Log& log = services_.log;
    auto failed = [&log](std::exception_ptr failure) { log.session_failed(failure); };
    iron::proxy::start(turn_away(site, std::move(connection), peer), failed);
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

bool Acceptor::short_of_descriptors(PerWorker& own) const {
  const int next = ::fcntl(own.socket.get(), F_DUPFD_CLOEXEC, 0);
  if (next >= 0) ::close(next);
  return next < 0 || next >= last_descriptor_;
}

void Acceptor::warn(int error) {
  static std::atomic<std::int64_t> last_warned{0};
  const SteadyTime now = Clock::system().now();
  const std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (last_warned.exchange(second) != second) {
    const std::string text =
        "accept tcp " + socket_.local_address() + ": accept4: " + errno_text(error);
    services_.log.write(Level::warn, "accept paused", {{"error", text}});
  }
}

}  // namespace iron::proxy
