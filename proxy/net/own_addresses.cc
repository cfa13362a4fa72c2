#include "proxy/net/own_addresses.h"

#include <ifaddrs.h>

#include <algorithm>

#include "proxy/wait/socket_address.h"

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
    if (const auto address = address_of(*entry->ifa_addr)) local_.push_back(*address);
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
