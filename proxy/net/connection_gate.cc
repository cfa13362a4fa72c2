#include "proxy/net/connection_gate.h"

#include <new>

namespace iron::proxy {

void ConnectionGate::set_limits(std::int64_t total, std::int64_t per_client) {
  total_ = total;
  per_client_ = per_client;
}

bool ConnectionGate::enter(const policy::IpAddress& client) {
  if (count_.fetch_add(1, std::memory_order_relaxed) >= total_) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  if (per_client_ <= 0 || enter_client(client)) return true;
  count_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

bool ConnectionGate::enter_client(const policy::IpAddress& client) {
  const std::lock_guard lock(mutex_);
  try {
    std::int64_t& count = clients_[client];
    if (count >= per_client_) return false;
    ++count;
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void ConnectionGate::leave(const policy::IpAddress& client) {
  count_.fetch_sub(1, std::memory_order_relaxed);
  if (per_client_ <= 0) return;
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(client);
  if (found != clients_.end() && --found->second <= 0) clients_.erase(found);
}

}  // namespace iron::proxy
