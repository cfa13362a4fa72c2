#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/config/config.h"
#include "policy/secret/secret.h"
#include "proxy/client/acceptor.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/net/peer.h"
#include "tests/proxy/manual_clock.h"
#include "tests/proxy/memory_file.h"
#include "tests/proxy/scripted_peer.h"

namespace iron::proxy::test {

/// Where the clients of a rig go unless told otherwise. The rig's deny list holds it, so that a
/// dial, which is what happens when no origin is there, fails at once.
inline constexpr std::string_view kOrigin = "10.0.0.1";

/// What a request record says, as far as tests ask.
struct RigRecord {
  std::string action, host, method, path, remote, rejected_by, error, upstream;
  std::int64_t status = 0, request_bytes = 0, response_bytes = 0;

  /// `allow 200 0/2`: action, status, bytes each way; then who refused and the error, if any:
  /// `reject 400 0/0 by protocol: malformed request`.
  std::string text() const;
};

/// Someone in a rig who acts without being told.
class RigActor {
 public:
  /// Does what can be done. False: that was nothing.
  virtual bool act() = 0;

 protected:
  ~RigActor() = default;
};

/// Whole client sessions between scripted peers: no thread, no clock but the test's, no network.
/// The site is a real one with a real pipeline; clients come in through ClientSession::launch,
/// origins lie in the pool. Everything happens in settle().
class SessionRig {
 public:
  /// The defaults, an `allowlist` that lets everything to kOrigin and 127.0.0.1 pass, and kOrigin
  /// in the deny list of dials.
  static policy::Config usual_config();
  /// Puts the variable into the environment that `secrets` reads before the rig is made.
  using Variables = std::vector<std::pair<std::string, std::string>>;

  explicit SessionRig(policy::Config config = usual_config(), const Variables& variables = {});
  /// Cuts what is still under way.
  ~SessionRig();
  SessionRig(const SessionRig&) = delete;
  SessionRig& operator=(const SessionRig&) = delete;

  /// A new client, with an address of its own, whose session is launched at once. `room`: of the
  /// session's socket for what the client does not read, in bytes; 0: the system's.
  ScriptedPeer& connect(Entry entry = Entry::http, Link link = Link::local, int room = 0);
  /// A new idle connection to an origin. The pool lends the last one first.
  ScriptedPeer& add_origin(std::string_view host = kOrigin,
                           std::uint16_t port = 80,
                           Link link = Link::local,
                           int room = 0);

  /// `ip:port` of the client that was connected as the `number`th, from 1, as records show it.
  static std::string client_address(std::uint32_t number);
  /// A connection that a session dialled, or that goes to a listener of ours.
  ScriptedPeer& adopt(int descriptor) { return peers_.emplace_back(descriptor); }
  /// Takes TLS of clients, and trusts origins, by RigAuthority. Clients are still those of
  /// connect().
  void secure();
  /// Accepts on a port of the loopback interface, with limits on connections in all and of one
  /// address, as one who came by connect() is none. Returns the port.
  std::uint16_t listen(Entry entry, std::int64_t total, std::int64_t per_client);
  /// Takes part in each turn, also in those that it turns itself, until it leaves.
  void join(RigActor& actor) { actors_.push_back(&actor); }
  void leave(RigActor& actor) { std::erase(actors_, &actor); }

  /// Runs the loop and the peers until nobody can do anything. Throws std::runtime_error when that
  /// takes no end.
  void settle();
  /// One round of that. False: nobody did anything.
  bool turn();
  /// Does so until `done` holds; for what comes over a network or from the kernel. False: it did
  /// not within some seconds.
  bool settle_until(const std::function<bool()>& done);
  /// Turns until `done` holds. False: nobody did anything for long.
  bool turn_until(const std::function<bool()>& done);
  /// Moves the clock, and lets happen what is due.
  void advance(std::chrono::nanoseconds by);
  void reload(policy::Config config);

  /// All so far.
  const std::vector<RigRecord>& records();
  /// The operational lines since the last call. From then on the log has its thread.
  std::string notes();
  /// What is wrong with the counts of the shared services now that every session should be gone;
  /// empty if nothing is.
  std::string leftovers();

  Site& site() { return *site_; }
  Services& services() { return *services_; }
  std::size_t sessions() { return site_->session_count(); }

 private:
  std::shared_ptr<const Snapshot> make_snapshot(policy::Config config);
  void read_records();
  std::string pool_leftovers();

  MemoryFile record_file_, note_file_;
  std::vector<RigRecord> records_;
  ManualClock clock_;
  SecretEnvironment environment_;
  Log log_;
  Resolver resolver_;
  RefusalLimiter refusals_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<Site> site_;
  std::deque<ScriptedPeer> peers_;
  std::vector<ScriptedPeer*> origins_;
  std::set<std::string> keys_;  ///< of the pool
  std::vector<RigActor*> actors_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::uint32_t clients_ = 0;
  bool secure_ = false;
};

}  // namespace iron::proxy::test
