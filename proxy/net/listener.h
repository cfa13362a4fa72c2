#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "policy/config/config.h"
#include "policy/config/listen_address.h"
#include "policy/result.h"
#include "proxy/client/client_session.h"
#include "proxy/log/log.h"

namespace iron::proxy {

struct Services;
class Worker;

/// A bound socket, closed on destruction unless released.
class BoundSocket {
 public:
  BoundSocket() = default;
  explicit BoundSocket(int descriptor) : descriptor_(descriptor) {}
  BoundSocket(BoundSocket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  BoundSocket& operator=(BoundSocket&& other) noexcept;
  ~BoundSocket();
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }
  /// `127.0.0.1:40027`, `[::]:40027`.
  std::string local_address() const;
  std::uint16_t local_port() const;

 private:
  int descriptor_ = -1;
};

/// A listener that cannot be had: `fatal error` with both texts in a row.
struct ListenFailed {
  static constexpr const char* kDns = "dns: ";
  static constexpr const char* kMetrics = "metrics: ";
  static constexpr const char* kManagement = "management: ";
  /// Of a listener for clients.
  static const char* of(Entry entry);

  std::string what;  ///< ends with a colon and a blank
  std::string reason;
};

/// `ip:port` of a socket's peer.
std::string peer_text(const sockaddr_storage& peer);

/// Binds without listening. Fails with `listen tcp 127.0.0.1:80: bind: address already in use` and
/// the like.
Result<BoundSocket> bind_socket(const std::string& address, policy::Transport transport);
/// Binds TCP on the same address as an already bound UDP socket.
Result<BoundSocket> bind_tcp_beside(const BoundSocket& udp);

/// Accepts on one bound socket for all workers: each waits on it and takes one connection at a
/// time, so that an idle worker gets the next one. Out of descriptors, accepting pauses instead of
/// spinning.
class Acceptor {
 public:
  Acceptor(Services& services, BoundSocket socket, Entry entry);
  ~Acceptor();
  /// Must be called before start(); throws ListenFailed if the kernel refuses.
  void listen();
  void start(Worker& worker);
  /// On each worker's thread.
  void stop(Worker& worker);
  std::string address() const { return socket_.local_address(); }
  Entry entry() const { return entry_; }

 private:
  struct PerWorker;
  void accept_one(PerWorker& own);
  void take(Worker& worker, BoundSocket connection, const ClientSession::Peer& peer);
  Task<void> turn_away(Worker& worker, BoundSocket connection, ClientSession::Peer peer);
  static void refuse(int descriptor);
  void pause_accepting(PerWorker& own, int error);
  bool short_of_descriptors(PerWorker& own) const;

  Services& services_;
  BoundSocket socket_;
  Entry entry_;
  int last_descriptor_;  ///< clients get those below; the rest is for what they ask for
  std::vector<std::unique_ptr<PerWorker>> per_worker_;
};

}  // namespace iron::proxy
