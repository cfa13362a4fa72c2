#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "proxy/admin/web_server.h"
#include "proxy/calls/call_desk.h"
#include "proxy/client/acceptor.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/run/reloader.h"
#include "proxy/run/worker.h"

namespace iron::proxy {

/// Number of CPUs this process may use.
int usable_cpus();

/// The serving part: workers with their acceptors, the admin listeners, the reloader.
class Server {
 public:
  /// `names` looks up the hosts of the program's own calls; see CallDesk.
  Server(Services& services,
         Resolver* names,
         std::shared_ptr<const Snapshot> snapshot,
         int workers);
  /// Ends everything at once.
  ~Server();
  Server(const Server&) = delete;

  void add_acceptor(std::unique_ptr<Acceptor> acceptor) {
    acceptors_.push_back(std::move(acceptor));
  }
  void add_admin(std::unique_ptr<WebServer> admin) { admins_.push_back(std::move(admin)); }
  Reloader& reloader() { return *reloader_; }

  /// Listens on every socket; throws std::runtime_error.
  void listen();
  /// Starts the workers' threads and accepting.
  void start();
  /// Stops accepting; idle connections end now, others after their request.
  void begin_drain();
  /// Waits for the sessions to end, until `deadline` or hurry(). True if all ended.
  bool await_drained(SteadyTime deadline);
  void hurry();
  /// Ends every session now and the threads with them. False if a session did not end.
  bool finish();

 private:
  void publish(const std::shared_ptr<const Snapshot>& snapshot);

  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<WebServer>> admins_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Reloader> reloader_;
  std::unique_ptr<CallDesk> calls_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t idle_workers_ = 0;
  bool hurried_ = false;
  bool finished_ = false;
};

}  // namespace iron::proxy
