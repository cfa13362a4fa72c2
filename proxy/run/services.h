#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "policy/match/ip_address.h"
#include "policy/secret/secret.h"
#include "proxy/dns/resolver.h"
#include "proxy/log/distrust_notices.h"
#include "proxy/log/log.h"
#include "proxy/log/rate_limit.h"
#include "proxy/log/recorder.h"
#include "proxy/log/refusal_limiter.h"
#include "proxy/net/closing.h"
#include "tls/context.h"

namespace iron::proxy {

/// Counts client connections against `proxy.limits.max_connections` and the limit per client
/// address. Thread safe.
class ConnectionGate {
 public:
  void set_limits(std::int64_t total, std::int64_t per_client);
  /// False: refuse. A true must be paired with leave().
  bool enter(const policy::IpAddress& client);
  void leave(const policy::IpAddress& client);  ///< needs no memory

 private:
  bool enter_client(const policy::IpAddress& client);
  std::atomic<std::int64_t> count_{0};
  std::int64_t total_ = 10000, per_client_ = 0;
  std::mutex mutex_;  // taken once per connection, and only with a limit per client
  std::map<policy::IpAddress, std::int64_t> clients_;
};

/// Memory for bodies that transforms must see whole, over all requests:
/// `proxy.limits.body_budget_bytes`. Thread safe.
class BodyBudget {
 public:
  void set_limit(std::int64_t bytes) { limit_ = bytes; }
  bool take(std::int64_t bytes);
  void give_back(std::int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> used_{0};
  std::int64_t limit_ = 268435456;
};

/// Share of the budget held by one request.
class BodyShare {
 public:
  explicit BodyShare(BodyBudget& budget) : budget_(budget) {}
  ~BodyShare() { budget_.give_back(held_); }
  BodyShare(const BodyShare&) = delete;
  /// Holds at least `bytes` in all; false when the budget is exhausted.
  bool hold(std::int64_t bytes);
  void reset();  ///< gives back what is held

 private:
  BodyBudget& budget_;
  std::int64_t held_ = 0;
};

/// The upstream TLS settings, whose trust store (about 50 ms) is loaded at first use on a thread of
/// its own.
class UpstreamTls {
 public:
  ~UpstreamTls();
  /// Null until loaded.
  const tls::UpstreamContext* get() const { return ready_.load(std::memory_order_acquire); }
  /// Calls `done` once get() gives the context, inline or on the loading thread.
  void load(std::function<void()> done);
  /// Joins the loading thread if it has loaded; one that still loads is left alone.
  void join_loaded();

 private:
  std::atomic<const tls::UpstreamContext*> ready_{nullptr};
  std::unique_ptr<tls::UpstreamContext> context_;
  std::mutex mutex_;
  std::vector<std::function<void()>> waiting_;
  std::thread loader_;
};

/// The proxy's own listen addresses, which it never dials: a request to itself would recurse.
class OwnAddresses {
 public:
  void add(const policy::IpAddress& address, std::uint16_t port);
  void add_all_local(std::uint16_t port);  ///< for a wildcard listener
  bool contains(const policy::IpAddress& address, std::uint16_t port) const;

 private:
  std::vector<std::pair<policy::IpAddress, std::uint16_t>> endpoints_;
  std::vector<std::uint16_t> wildcard_ports_;
  std::vector<policy::IpAddress> local_;
};

/// How many idle connections of a key all workers keep beyond each one's own part. Keys with the
/// same hash are counted together. Thread safe, without locks.
class IdleBudget {
 public:
  std::atomic<int>& of(std::string_view key) {
    return counts_[std::hash<std::string_view>()(key) % counts_.size()];
  }

 private:
  std::array<std::atomic<int>, 1024> counts_{};
};

/// What all workers share. Made by main, outlives them.
struct Services {
  Log& log;
  SecretEnvironment& environment;
  Resolver& resolver;
  RefusalLimiter& refusals;
  UpstreamTls upstream_tls;
  ConnectionGate gate;
  ClosesUnderWay closes;
  BodyBudget body_budget;
  OwnAddresses own_addresses;
  IdleBudget idle_upstreams;
  DistrustNotices distrust;
  /// Sessions that ended or gave their buffers back: when many did, free memory is worth returning
  /// to the system.
  std::atomic<std::uint64_t> released{0};
  RecordIds record_ids;
  RateLimit unused_tunnels;  ///< of `tunnel closed without a request`
  /// Reasons of the warnings that are written once; used by the start, then by reloads alone.
  std::set<std::string> written_once;

  Services(Log& log_in,
           SecretEnvironment& environment_in,
           Resolver& resolver_in,
           RefusalLimiter& refusals_in)
      : log(log_in), environment(environment_in), resolver(resolver_in), refusals(refusals_in) {}
};

}  // namespace iron::proxy
