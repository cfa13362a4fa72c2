#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "policy/task.h"
#include "proxy/net/bound_socket.h"
#include "proxy/wait/clock.h"

namespace iron::proxy {

struct Services;
class Site;

/// Accepts on one bound socket for all workers: each waits on it and takes one connection at a
/// time, so that an idle worker gets the next one. Out of descriptors, accepting pauses instead of
/// spinning.
class Acceptor {
 public:
  Acceptor(Services& services, BoundSocket socket, Entry entry);
  ~Acceptor();
  /// Must be called before start(); throws ListenFailed if the kernel refuses.
  void listen();
  /// Begins to accept on that worker; on its thread, or before it runs.
  void start(Site& site);
  /// On each worker's thread.
  void stop(Site& site);
  std::string address() const { return socket_.local_address(); }
  Entry entry() const { return entry_; }

 private:
  struct PerWorker;
  void take(Site& site, BoundSocket connection, const Peer& peer);
  Task<void> turn_away(Site& site, BoundSocket connection, Peer peer);
  static void refuse(int descriptor);
  void warn(int error, SteadyTime now);
  bool short_of_descriptors() const;

  Services& services_;
  BoundSocket socket_;
  Entry entry_;
  int last_descriptor_;  ///< clients get those below; the rest is for what they ask for
  std::vector<std::unique_ptr<PerWorker>> per_worker_;
};

}  // namespace iron::proxy
