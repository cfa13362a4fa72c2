#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "policy/match/ip_address.h"

namespace iron::proxy {

/// The proxy's own listen addresses, which it never dials: a request to itself would recurse.
class OwnAddresses {
 public:
  void add(const policy::IpAddress& address, std::uint16_t port);
  void add_all_local(std::uint16_t port);  ///< for a wildcard listener
  bool contains(const policy::IpAddress& address, std::uint16_t port) const;

 private:
  std::vector<std::pair<policy::IpAddress, std::uint16_t>> endpoints_;
  std::vector<std::uint16_t> wildcard_ports_;
  std::vector<policy::IpAddress> local_;
};

}  // namespace iron::proxy
