#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "policy/result.h"
#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/zone.h"

namespace iron::proxy {
class Log;
}

namespace iron::proxy::dns {

/// The name server of sandboxes: UDP and TCP, on a thread of its own (docs/dns.md). What it answers
/// is the Zone's business; this part moves packets and keeps the limits.
class Server {
 public:
  struct Options {
    std::vector<int> udp, tcp;  ///< bound sockets; the server owns them
    std::chrono::milliseconds lookup_limit{5000}, idle_limit{10000};
    std::size_t max_lookups = 256, max_connections = 64;
  };
  /// Looks a name up without search list; calls back once, on any thread.
  using Lookup = std::function<void(const std::string& name, std::function<void(LookupOutcome)>)>;

  Server(Options options, Zone zone, Log& log, Lookup lookup);
  /// Ends at once.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Listens on the TCP sockets and begins to answer. Fails with `listen tcp ADDRESS: bind:
  /// REASON`.
  Result<void> start();
  /// Takes no more queries and gives lookups under way `grace` to be answered. Blocks that long.
  void stop(std::chrono::milliseconds grace);

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace iron::proxy::dns
