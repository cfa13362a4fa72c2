#include "proxy/net/own_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace iron::proxy {

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
