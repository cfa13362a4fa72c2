#include "proxy/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cctype>
#include <chrono>
#include <climits>
#include <cstring>
#include <stdexcept>

#include "proxy/http/answers.h"
#include "proxy/net/keep_alive.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/run/services.h"
#include "proxy/run/worker.h"

namespace iron::proxy {
namespace {

constexpr int kBacklog = 4096;
constexpr auto kFirstPause = std::chrono::milliseconds(100);
constexpr auto kLongestPause = std::chrono::milliseconds(1000);

std::string errno_text(int error) {
  std::string text = std::strerror(error);
  text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

ClientSession::Peer peer_of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &v4.sin_addr, 4);
    return {policy::IpAddress::v4(bytes), ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &v6.sin6_addr, 16);
  return {policy::IpAddress::v6(bytes), ntohs(v6.sin6_port)};
}

struct LocalName {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
};

LocalName local_name(int descriptor) {
  LocalName name;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&name.storage), &name.size);
  return name;
}

/// A client whose request finds no descriptor for its upstream is not served, so a quarter is kept
/// for that.
int descriptors_for_clients() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return INT_MAX;
  const auto all = static_cast<int>(std::min<rlim_t>(files.rlim_cur, INT_MAX));
  return all - std::max(all / 4, 16);
}

Result<BoundSocket> bind_to(const LocalName& name, int type, const std::string& what) {
  BoundSocket bound(::socket(name.storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (bound.get() < 0) return fail(what + ": socket: " + errno_text(errno));
  const int on = 1, off = 0;
  if (type == SOCK_STREAM) {
    ::setsockopt(bound.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    keep_alive(bound.get());
  }
  if (name.storage.ss_family == AF_INET6) {
    ::setsockopt(bound.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (::bind(bound.get(), reinterpret_cast<const sockaddr*>(&name.storage), name.size) != 0) {
    return fail(what + ": bind: " + errno_text(errno));
  }
  return bound;
}

}  // namespace

std::string peer_text(const sockaddr_storage& storage) {
  const ClientSession::Peer peer = peer_of(storage);
  return peer.address.text_with_port(peer.port);
}

BoundSocket& BoundSocket::operator=(BoundSocket&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

BoundSocket::~BoundSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string BoundSocket::local_address() const {
  const LocalName name = local_name(descriptor_);
  const ClientSession::Peer peer = peer_of(name.storage);
  const bool any6 =
      name.storage.ss_family == AF_INET6 &&
      IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(name.storage).sin6_addr);
  if (any6) return "[::]:" + std::to_string(peer.port);
  return peer.address.text_with_port(peer.port);
}

std::uint16_t BoundSocket::local_port() const {
  return peer_of(local_name(descriptor_).storage).port;
}

Result<BoundSocket> bind_socket(const std::string& address, policy::Transport transport) {
  const auto resolved = policy::resolve_listen_address(address, transport);
  if (resolved.has_error()) return resolved.error();
  const bool tcp = transport == policy::Transport::tcp;
  const std::string what = (tcp ? "listen tcp " : "listen udp ") + resolved->text;
  const int type = tcp ? SOCK_STREAM : SOCK_DGRAM;
  LocalName name;
  if (!resolved->address || !resolved->address->is_v4()) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(name.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(resolved->port);
    v6.sin6_scope_id = resolved->scope;
    if (resolved->address) std::memcpy(&v6.sin6_addr, resolved->address->bytes().data(), 16);
    name.size = sizeof v6;
    Result<BoundSocket> bound = bind_to(name, type, what);
    if (bound.has_value() || resolved->address) return bound;
    if (bound.error().text.find(": socket: ") == std::string::npos) return bound;
    // No IPv6 on this machine: all IPv4 addresses are what is left.
    name = {};
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(name.storage);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(resolved->port);
  if (resolved->address) std::memcpy(&v4.sin_addr, resolved->address->bytes().data(), 4);
  name.size = sizeof v4;
  return bind_to(name, type, what);
}

Result<BoundSocket> bind_tcp_beside(const BoundSocket& udp) {
  return bind_to(local_name(udp.get()), SOCK_STREAM, "listen tcp " + udp.local_address());
}

/// One worker's view of the socket.
struct Acceptor::PerWorker {
  PerWorker(Worker& worker_in, int descriptor)
      : worker(worker_in),
        wait(worker_in.context(), ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)),
        timer(worker_in.context()) {}
  Worker& worker;
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> wait;
  boost::asio::steady_timer timer;
  std::shared_ptr<HandlerMemory> memory = std::make_shared<HandlerMemory>();
  std::chrono::milliseconds pause = kFirstPause;
  bool stopped = false;
  bool near_the_limit =
      false;  ///< as the last descriptor it got says; the kernel gives out the lowest free one
};

const char* ListenFailed::of(Entry entry) {
  switch (entry) {
    case Entry::https:
      return "proxy: https listen: ";
    case Entry::tunnel:
      return "proxy: tunnel: tunnel listen: ";
    case Entry::http:
      break;
  }
  return "proxy: http listen: ";
}

Acceptor::Acceptor(Services& services, BoundSocket socket, Entry entry)
    : services_(services),
      socket_(std::move(socket)),
      entry_(entry),
      last_descriptor_(descriptors_for_clients()) {}

Acceptor::~Acceptor() = default;

void Acceptor::listen() {
  if (::listen(socket_.get(), kBacklog) != 0) {
    // SO_REUSEADDR lets two sockets bind as long as neither listens, so some conflicts show only
    // here.
    throw ListenFailed{ListenFailed::of(entry_),
                       "listen tcp " + socket_.local_address() + ": bind: " + errno_text(errno)};
  }
}

void Acceptor::start(Worker& worker) {
  per_worker_.push_back(std::make_unique<PerWorker>(worker, socket_.get()));
  accept_one(*per_worker_.back());
}

void Acceptor::stop(Worker& worker) {
  for (auto& own : per_worker_) {
    if (&own->worker != &worker || own->stopped) continue;
    own->stopped = true;
    own->wait.close();
    own->timer.cancel();
  }
}

void Acceptor::accept_one(PerWorker& own) {
  auto readable = [this, &own](const boost::system::error_code& error) {
    if (error || own.stopped) return;
    if (own.near_the_limit && short_of_descriptors(own)) {
      pause_accepting(own, EMFILE);
      return;
    }
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    const int accepted = ::accept4(own.wait.native_handle(), reinterpret_cast<sockaddr*>(&storage),
                                   &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      own.pause = kFirstPause;
      own.near_the_limit = accepted >= last_descriptor_;
      take(own.worker, BoundSocket(accepted), peer_of(storage));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pause_accepting(own, errno);
      return;
    }
    accept_one(own);
  };
  own.wait.async_wait(own.wait.wait_read, in_memory(own.memory, std::move(readable)));
}

void Acceptor::take(Worker& worker, BoundSocket connection, const ClientSession::Peer& peer) {
  try {
    if (services_.gate.enter(peer.address)) {
      ClientSession::launch(worker, std::move(connection), entry_, peer);
      return;
    }
    Log& log = services_.log;
    auto failed = [&log](std::exception_ptr failure) { log.session_failed(failure); };
    iron::proxy::start(turn_away(worker, std::move(connection), peer), failed);
  } catch (const std::bad_alloc&) {
    // The connection is closed, and the next one may find memory.
  }
}

/// Over the connection limit: a record, and an answer where the protocol is HTTP for certain.
Task<void> Acceptor::turn_away(Worker& worker, BoundSocket connection, ClientSession::Peer peer) {
  const std::string remote = peer.address.text_with_port(peer.port);
  RecordBatch::Wait recorded(worker.recorder().batch());
  const Arrival arrival{.recorded = recorded, .address = peer.address, .remote_addr = remote};
  Refusal refusal;
  refusal.status = entry_ == Entry::http ? 503 : 400;
  refusal.error = "connection limit reached";
  worker.recorder().refusal(arrival, refusal);
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
  const int next = ::fcntl(own.wait.native_handle(), F_DUPFD_CLOEXEC, 0);
  if (next >= 0) ::close(next);
  return next < 0 || next >= last_descriptor_;
}

void Acceptor::pause_accepting(PerWorker& own, int error) {
  if (own.worker.pool().idle_count() > 0) {  // kept for speed only
    own.worker.pool().drop_idle();
    accept_one(own);
    return;
  }
  own.timer.expires_after(own.pause);
  own.pause = std::min(own.pause * 2, std::chrono::milliseconds(kLongestPause));
  own.timer.async_wait(in_memory(own.memory, [this, &own](const boost::system::error_code& failed) {
    if (!failed && !own.stopped) accept_one(own);
  }));
  static std::atomic<std::int64_t> last_warned{0};
  const auto now = std::chrono::steady_clock::now();
  const std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (last_warned.exchange(second) != second) {
    const std::string text =
        "accept tcp " + socket_.local_address() + ": accept4: " + errno_text(error);
    services_.log.write(Level::warn, "accept paused", {{"error", text}});
  }
}

}  // namespace iron::proxy
