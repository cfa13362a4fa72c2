#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>

#include "policy/config/listen_address.h"
#include "policy/result.h"
#include "proxy/net/peer.h"

namespace iron::proxy {

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
  /// False: the kernel refuses, and errno(3) says why. Connections that are accepted leave the port
  /// to who names it later, as a restart does.
  bool listen(int backlog);
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

/// Binds without listening. Fails with `listen tcp 127.0.0.1:80: bind: address already in use` and
/// the like.
Result<BoundSocket> bind_socket(const std::string& address, policy::Transport transport);
/// Binds TCP on the same address as an already bound UDP socket.
Result<BoundSocket> bind_tcp_beside(const BoundSocket& udp);

}  // namespace iron::proxy
