#include "proxy/run/services.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "tls/trust.h"

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

bool BodyBudget::take(std::int64_t bytes) {
  if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_) return true;
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

void BodyShare::reset() {
  budget_.give_back(held_);
  held_ = 0;
}

bool BodyShare::hold(std::int64_t bytes) {
  if (bytes <= held_) return true;
  if (!budget_.take(bytes - held_)) return false;
  held_ = bytes;
  return true;
}

UpstreamTls::~UpstreamTls() {
  if (loader_.joinable()) loader_.join();
}

void UpstreamTls::join_loaded() {
  const std::lock_guard lock(mutex_);
  if (context_ && loader_.joinable()) loader_.join();
}

namespace {
/// Sessions wait for it, so it is tried until there is memory for it.
std::unique_ptr<tls::UpstreamContext> load_context() {
  while (true) {
    try {
      return std::make_unique<tls::UpstreamContext>(tls::load_trust_store());
    } catch (const std::exception&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}
}  // namespace

void UpstreamTls::load(std::function<void()> done) {
  std::unique_lock lock(mutex_);
  if (context_) {
    lock.unlock();
    done();
    return;
  }
  waiting_.push_back(std::move(done));
  if (loader_.joinable()) return;
  loader_ = std::thread([this] {
    auto context = load_context();
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard inner(mutex_);
      context_ = std::move(context);
      ready_.store(context_.get(), std::memory_order_release);
      waiting.swap(waiting_);
    }
    for (const auto& callback : waiting) callback();
  });
}

void OwnAddresses::add(const policy::IpAddress& address, std::uint16_t port) {
  endpoints_.emplace_back(address, port);
}

void OwnAddresses::add_all_local(std::uint16_t port) {
  wildcard_ports_.push_back(port);
  if (!local_.empty()) return;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      std::array<std::uint8_t, 4> bytes{};
      std::memcpy(bytes.data(), &reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr, 4);
      local_.push_back(policy::IpAddress::v4(bytes));
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      std::array<std::uint8_t, 16> bytes{};
      std::memcpy(bytes.data(), &reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr, 16);
      local_.push_back(policy::IpAddress::v6(bytes));
    }
  }
  ::freeifaddrs(list);
}

bool OwnAddresses::contains(const policy::IpAddress& address, std::uint16_t port) const {
  const bool unspecified = std::all_of(address.bytes().begin(), address.bytes().end(),
                                       [](std::uint8_t byte) { return byte == 0; });
  for (const auto& [own, own_port] : endpoints_) {
    if (own_port != port) continue;
    // The system connects the unspecified address to this machine, whichever family it is written
    // in.
    if (own == address || unspecified) return true;
  }
  if (std::find(wildcard_ports_.begin(), wildcard_ports_.end(), port) == wildcard_ports_.end()) {
    return false;
  }
  return unspecified || (address.is_v4() && address.bytes()[0] == 127) ||
         std::find(local_.begin(), local_.end(), address) != local_.end();
}

}  // namespace iron::proxy
