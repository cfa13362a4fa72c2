#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "policy/match/ip_address.h"

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

}  // namespace iron::proxy
