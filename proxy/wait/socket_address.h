#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "policy/match/ip_address.h"

namespace iron::proxy {

/// Of AF_INET or AF_INET6; nothing for another family.
std::optional<policy::IpAddress> address_of(const sockaddr& address);

/// An address and a port as the kernel has them.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  static SocketAddress of(const policy::IpAddress& address, std::uint16_t port);
  /// That of our end; 0.0.0.0:0 if it has none.
  static SocketAddress local(int descriptor);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  /// The unspecified one where the family is another.
  policy::IpAddress address() const { return address_of(*get()).value_or(policy::IpAddress()); }
  std::uint16_t port() const;
  /// `ip:port`.
  std::string text() const { return address().text_with_port(port()); }
};

}  // namespace iron::proxy
