#include "proxy/net/dialer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "policy/errno_text.h"
#include "proxy/net/bound_socket.h"
#include "proxy/net/keep_alive.h"
#include "proxy/net/parent_tunnel.h"
#include "proxy/wait/event_loop.h"
#include "proxy/wait/socket_address.h"

namespace iron::proxy {
namespace {

using policy::IpAddress;
using Addresses = std::vector<IpAddress>;
constexpr auto kConnectTimeout = std::chrono::seconds(30);
constexpr auto kShortestShare = std::chrono::seconds(2);
constexpr auto kFallbackDelay = std::chrono::milliseconds(300);
constexpr std::size_t kAttemptsAtOnce = 4;  // of one family
constexpr auto kHandshakeTimeout = std::chrono::seconds(10);

/// Of a parent that cannot be had.
Error by_parent(Error error) {
  if (error.fault != Fault::client_gone) error.text = "proxyconnect tcp: " + error.text;
  return error;
}

Error client_gone() { return fail("client gone", Fault::client_gone); }

/// Addresses of one family in their order: the next is tried when one has failed, or brought
/// nothing for a while.
struct Lane {
  struct Attempt {
    UpstreamPtr upstream;
    SteadyTime deadline;
  };
  Addresses addresses;
  std::size_t next = 0;
  std::vector<Attempt> attempts;
  SteadyTime next_start = SteadyTime::max();
  bool started = false;
  bool exhausted() const { return started && attempts.empty() && next == addresses.size(); }
};

/// The race of two lanes, one for each family, for one connection.
class Race {
 public:
  Race(UpstreamPool& pool,
       const OwnAddresses& own_addresses,
       Pause& pause,
       const DialRequest& request)
      : pool_(pool),
        own_addresses_(own_addresses),
        pause_(pause),
        request_(request),
        began_(pause.loop().now()) {}

  /// What the lookup has found, twice if it told the families one by one: the second family joins a
  /// race that is under way (RFC 8305 section 3).
  void join(const LookupOutcome& found) {
    complete_ = found.complete;
    const bool first = lanes_[0].addresses.empty();
    for (const IpAddress& address : found.addresses) {
      if (first && lanes_[0].addresses.empty()) first_is_v4_ = address.is_v4();
      const bool of_first = address.is_v4() == first_is_v4_;
      if (of_first && first) lanes_[0].addresses.push_back(address);
      if (!of_first) lanes_[1].addresses.push_back(address);
    }
  }

  /// One round: looks at every attempt, starts what is due. The connection when one is made.
  UpstreamPtr step() {
    const SteadyTime now = pause_.loop().now();
    if (!lanes_[0].started) start_next(lanes_[0], now);
    const bool fallback_due = now >= began_ + kFallbackDelay || lanes_[0].exhausted();
    if (!lanes_[1].started && !lanes_[1].addresses.empty() && fallback_due) {
      start_next(lanes_[1], now);
    }
    for (Lane& lane : lanes_) {
      if (UpstreamPtr connected = look(lane, now)) {
        request_.address = connected->address;
        return connected;
      }
    }
    return nullptr;
  }

  bool lost() const {
    return complete_ && lanes_[0].exhausted() &&
           (lanes_[1].exhausted() || lanes_[1].addresses.empty());
  }
  Error error() const { return fail(first_error_); }
  /// When step() has something to do without an event; never, if all failed and a late answer of
  /// the lookup is what is left.
  SteadyTime wake_time() const {
    SteadyTime when = SteadyTime::max();
    for (const Lane& lane : lanes_) {
      for (const Lane::Attempt& attempt : lane.attempts) when = std::min(when, attempt.deadline);
      when = std::min(when, lane.next_start);
    }
    if (!lanes_[1].started && !lanes_[1].addresses.empty()) {
      when = std::min(when, began_ + kFallbackDelay);
    }
    return when;
  }

 private:
  void note(const std::string& what, const std::string& address) {
    if (first_error_.empty()) first_error_ = "dial tcp " + address + ": " + what;
  }

  UpstreamPtr look(Lane& lane, SteadyTime now) {
    for (std::size_t i = 0; i < lane.attempts.size();) {
      Connection& connection = lane.attempts[i].upstream->connection;
      if (connection.writable()) {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(connection.stream().descriptor(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == 0) return std::move(lane.attempts[i].upstream);
        note("connect: " + policy::errno_text(error), lane.attempts[i].upstream->address);
      } else if (now >= lane.attempts[i].deadline) {
        note("i/o timeout", lane.attempts[i].upstream->address);
      } else {
        ++i;
        continue;
      }
      lane.attempts.erase(lane.attempts.begin() + static_cast<std::ptrdiff_t>(i));
      start_next(lane, now);
    }
    if (now >= lane.next_start) start_next(lane, now);
    return nullptr;
  }

  void start_next(Lane& lane, SteadyTime now) {
    lane.started = true;
    bool opened = false;
    while (!opened && lane.next < lane.addresses.size()) {
      const auto left = static_cast<int>(lane.addresses.size() - lane.next);
      const IpAddress& address = lane.addresses[lane.next++];
      const std::uint16_t port = request_.target.port;
      request_.address = address.text_with_port(port);
      if (const auto hit = request_.deny_list.check(address)) {
        note(policy::denial_text(*hit), request_.address);
      } else if (own_addresses_.contains(address, port)) {
        note("own listener", request_.address);
      } else {
        const auto remaining = began_ + kConnectTimeout - now;
        const auto share = std::max<std::chrono::nanoseconds>(
            remaining / left, std::min<std::chrono::nanoseconds>(kShortestShare, remaining));
        opened = open(lane, SocketAddress::of(address, port), now + share);
      }
    }
    const bool more = lane.next < lane.addresses.size() && lane.attempts.size() < kAttemptsAtOnce;
    lane.next_start = more ? now + kFallbackDelay : SteadyTime::max();
  }

  /// Kept connections are for speed only: they make way when descriptors ran out.
  int new_socket(int family) {
    const auto make = [&] {
      return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    };
    const int descriptor = make();
    if (descriptor >= 0 || errno != EMFILE || pool_.idle_count() == 0) return descriptor;
    pool_.drop_idle();
    return make();
  }

  bool open(Lane& lane, const SocketAddress& peer, SteadyTime deadline) {
    BoundSocket socket(new_socket(peer.storage.ss_family));
    if (socket.get() < 0) {
      note("socket: " + policy::errno_text(errno), request_.address);
      return false;
    }
    const int one = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    keep_alive(socket.get());
    if (::connect(socket.get(), peer.get(), peer.size) != 0 && errno != EINPROGRESS) {
      note("connect: " + policy::errno_text(errno), request_.address);
      return false;
    }
    // The memory is there before release() is called (C++17).
    UpstreamPtr upstream(new UpstreamConnection(pause_.loop(), socket.release()));
    upstream->address = request_.address;
    upstream->key = request_.key;
    upstream->connection.set_pause(&pause_);
    upstream->connection.arm_write();
    lane.attempts.push_back({std::move(upstream), deadline});
    return true;
  }

  UpstreamPool& pool_;
  const OwnAddresses& own_addresses_;
  Pause& pause_;
  const DialRequest& request_;
  SteadyTime began_;
  bool complete_ = false, first_is_v4_ = true;
  std::array<Lane, 2> lanes_;
  std::string first_error_;
};

bool nobody_waits(Pause& pause, const DialRequest& request) {
  return request.abandonment.abandoned() || pause.loop().cut();
}

}  // namespace

/// The first addresses. Where they are not all, `found` gets the others.
Task<Result<LookupOutcome>> Dialer::resolve(Pause& pause,
                                            const DialRequest& request,
                                            Later<LookupOutcome>& found) {
  if (request.target.literal) co_return LookupOutcome::of({*request.target.literal});
  lookups_.lookup(request.target.host, found.teller());
  const auto given_up = [&] { return nobody_waits(pause, request); };
  std::optional<LookupOutcome> outcome = co_await await(found, pause, given_up);
  if (!outcome) co_return client_gone();
  if (outcome->status != LookupOutcome::Status::found) {
    co_return fail("dial tcp: " + outcome->error);
  }
  co_return *std::move(outcome);
}

Task<Result<const tls::UpstreamContext*>> Dialer::context(Pause& pause,
                                                          const DialRequest& request) {
  if (const auto* ready = tls_.get()) co_return ready;
  Later<const tls::UpstreamContext*> loaded(pause);
  tls_.load([this, told = loaded.promise()] { told(tls_.get()); });
  const auto given_up = [&] { return nobody_waits(pause, request); };
  const auto context = co_await await(loaded, pause, given_up);
  if (!context) co_return client_gone();
  co_return *context;
}

Task<Result<void>> Dialer::secure(Pause& pause,
                                  const DialRequest& request,
                                  UpstreamConnection& upstream,
                                  Handshake handshake) {
  const tls::UpstreamContext* context = request.context;
  std::shared_ptr<tls::SessionStore> sessions;
  SSL_SESSION* resume = nullptr;
  if (context == nullptr) {
    const auto usual = co_await this->context(pause, request);
    if (usual.has_error()) co_return usual.error();
    context = *usual;
    sessions = pool_.sessions(request.key);
    resume = sessions->take();
  }
  const bool renamed = !request.server_name.empty();
  const std::string& name = renamed ? request.server_name : request.target.host;
  const bool is_address =
      renamed ? policy::IpAddress::parse(name).has_value() : request.target.literal.has_value();
  const auto started =
      upstream.connection.stream().start_client(*context, name, is_address, resume, sessions);
  if (resume != nullptr) SSL_SESSION_free(resume);
  if (started.has_error()) co_return started.error();
  if (handshake.asks_for_http1) upstream.connection.stream().offer_http1();
  pause.set_timeout(handshake.timeout);
  while (true) {
    const IoResult result = upstream.connection.handshake();
    if (result.status == Io::ok) break;
    if (result.status != Io::want_read && result.status != Io::want_write) {
      co_return fail(upstream.connection.stream().handshake_error());
    }
    co_await pause;
    if (nobody_waits(pause, request)) co_return client_gone();
    if (pause.expired()) co_return fail("net/http: TLS handshake timeout");
  }
  pause.clear_deadline();
  co_return Result<void>();
}

Task<Result<UpstreamPtr>> Dialer::dial_tcp(Pause& pause, const DialRequest& request) {
  if (request.parent != nullptr) {
    Result<UpstreamPtr> tunnel = co_await dial_parent(pause, request);
    co_return std::move(tunnel);
  }
  // Whoever has not been asked before is not watched, and could leave unseen until a lookup or a
  // connect is over.
  if (request.abandonment.abandoned()) co_return client_gone();
  Later<LookupOutcome> outcome(pause);
  auto found = co_await resolve(pause, request, outcome);
  if (found.has_error()) co_return found.error();
  if (found->addresses.empty())
    co_return fail("dial tcp: lookup " + request.target.host + ": no such host");
  Race race(pool_, own_addresses_, pause, request);
  race.join(*found);
  while (true) {
    if (const auto late = outcome.take()) race.join(*late);
    UpstreamPtr connected = race.step();
    if (connected) {
      pause.clear_deadline();
      co_return std::move(connected);
    }
    if (race.lost()) {
      pause.clear_deadline();
      co_return race.error();
    }
    pause.set_deadline(race.wake_time());
    co_await pause;
    if (nobody_waits(pause, request)) co_return client_gone();
  }
}

Task<Result<UpstreamPtr>> Dialer::dial_parent(Pause& pause, const DialRequest& request) {
  using Kind = policy::ProxyUrl::Kind;
  const ParentHop& hop = *request.parent;
  const policy::ProxyUrl& url = *hop.url;
  if (!url.usable()) co_return fail(std::string(kUnsupportedParent));
  const UpstreamTarget place{url.kind() == Kind::https, url.host(), url.literal(), url.port()};
  const policy::DenyList none;
  const DialRequest to_parent{none, place, request.key, request.abandonment, request.address};
  Result<UpstreamPtr> connected = co_await dial_tcp(pause, to_parent);
  if (connected.has_error()) co_return by_parent(connected.error());
  Connection& connection = (*connected)->connection;
  if (place.tls) {
    const std::string sessions = "parent " + url.text();
    const DialRequest in_tls{none, place, sessions, request.abandonment, request.address};
    const Handshake handshake{hop.handshake_timeout, true};
    const auto secured = co_await secure(pause, in_tls, **connected, handshake);
    if (secured.has_error()) co_return by_parent(secured.error());
  }
  if (!hop.tunnel) co_return std::move(connected);
  const UpstreamTarget& target = request.target;
  const auto checked = url.kind() == Kind::socks5 ? hop.checked : std::nullopt;
  ParentHandshake handshake(url, {target.host, target.port, target.literal, checked});
  const auto opened = co_await open_tunnel(connection, pause, handshake, request.abandonment,
                                           hop.handshake_timeout);
  if (opened.has_error()) co_return opened.error();
  if (place.tls && target.tls) connection.stream().nest();
  co_return std::move(connected);
}

Task<Result<UpstreamPtr>> Dialer::dial(Pause& pause, const DialRequest& request) {
  auto connected = co_await dial_tcp(pause, request);
  if (connected.has_error() || !request.target.tls) co_return std::move(connected);
  UpstreamConnection& upstream = **connected;
  const Handshake handshake{kHandshakeTimeout};
  const auto secured = co_await secure(pause, request, upstream, handshake);
  if (secured.has_error()) co_return secured.error();
  co_return std::move(connected);
}

}  // namespace iron::proxy
