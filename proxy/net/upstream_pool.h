#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/match/ip_address.h"
#include "policy/match/proxy_url.h"
#include "proxy/net/connection.h"
#include "proxy/net/idle_budget.h"
#include "proxy/wait/event_loop.h"
#include "proxy/wait/intrusive_list.h"
#include "tls/context.h"

namespace iron::proxy {

/// Where a request goes: one normalised object for the pool, the dial, SNI and verification.
struct UpstreamTarget {
  bool tls = false;
  std::string host;  ///< folded
  std::optional<policy::IpAddress> literal;
  std::uint16_t port = 0;
};

/// A connection to an upstream, busy with one request or idle in the pool.
struct UpstreamConnection : ListNode {  // in the pool's order of idling
  UpstreamConnection(EventLoop& loop, int descriptor)
      : connection(loop, descriptor, Watch::Kind::dial) {}
  ~UpstreamConnection() { set_user(nullptr); }
  /// Where its user keeps a pointer to it, which is cleared when the use ends.
  void set_user(Connection** slot) {
    if (user_ != nullptr) *user_ = nullptr;
    user_ = slot;
    if (user_ != nullptr) *user_ = &connection;
  }
  /// An origin may take whoever speaks on it for the user of this client: it is never pooled.
  void belong_to_client() { belongs_to_client_ = true; }
  bool belongs_to_client() const { return belongs_to_client_; }
  /// Its request is over. False if bytes are there that nobody asked for.
  bool settle_idle();
  /// Whether nothing came while it idled; `check`: also whether the kernel knows of an end.
  bool alive(bool check) const;

  Connection connection;
  std::string address;     ///< `ip:port`
  std::string key;         ///< pool key
  bool reused = false;     ///< came from the pool
  bool name_only = false;  ///< leads through a parent proxy to a name that nobody here knows
  SteadyTime idle_since{};
  bool buffers_held = true;  ///< OpenSSL's record buffers, given back after a second of idling

 private:
  Connection** user_ = nullptr;
  bool belongs_to_client_ = false;
};
using UpstreamPtr = std::unique_ptr<UpstreamConnection>;

/// A worker's idle upstream connections, most recently used first. Process-wide limits: 1,024 in
/// all, divided among the workers; 64 per key, of which a quarter is divided and the rest goes to
/// whoever needs it, for clients are not spread evenly; 90 s.
class UpstreamPool {
 public:
  UpstreamPool(EventLoop& loop, IdleBudget& beyond_own, int share);
  ~UpstreamPool();

  /// Writes the pool key of `target` to `key` (reused).
  static void make_key(const UpstreamTarget& target, std::string& key);
  /// That of connections through `parent`: of a tunnel to `target`, or, `tunnel` false, of those on
  /// which requests to any target go to the parent.
  static void make_key(const UpstreamTarget& target,
                       const policy::ProxyUrl& parent,
                       bool tunnel,
                       std::string& key);
  /// A connection that looks alive, or null. `check`: also ask the kernel whether the peer has
  /// left, for requests that cannot be sent twice.
  UpstreamPtr take(const std::string& key, bool check);
  /// Closes one that belongs to its client.
  void put(UpstreamPtr connection);
  /// TLS sessions of a key; made when missing.
  std::shared_ptr<tls::SessionStore> sessions(const std::string& key);
  void clear();
  /// Gives the descriptors of idle connections back; TLS sessions stay.
  void drop_idle();
  std::size_t idle_count() const { return idle_count_; }

 private:
  struct Entry {
    std::vector<UpstreamPtr> idle;  ///< oldest first
    std::shared_ptr<tls::SessionStore> sessions;
    SteadyTime used{};
    std::atomic<int>* beyond_own = nullptr;  ///< of all workers (IdleBudget)
  };
  Entry& entry(const std::string& key);
  /// Whether one more of the key may idle here.
  bool take_place(const Entry& entry);
  /// After one of the key is gone.
  void give_place_back(const Entry& entry);
  /// Destroys an idle connection.
  void drop(UpstreamConnection& connection);
  void drop_all(Entry& entry);
  void clean();

  EventLoop& loop_;
  IdleBudget& beyond_own_;
  std::size_t own_per_key_, in_all_;
  int shared_per_key_;
  std::unordered_map<std::string, Entry> entries_;
  IntrusiveList<UpstreamConnection> idle_;  ///< of all keys, oldest first
  std::size_t idle_count_ = 0;
  Alarm janitor_;  ///< set while something idles
};

}  // namespace iron::proxy
