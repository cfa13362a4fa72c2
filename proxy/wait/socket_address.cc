#include "proxy/wait/socket_address.h"

#include <netinet/in.h>

#include <array>
#include <cstring>

namespace iron::proxy {

std::optional<policy::IpAddress> address_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
    return policy::IpAddress::v4(bytes);
  }
  if (address.sa_family == AF_INET6) {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
    return policy::IpAddress::v6(bytes);
  }
  return std::nullopt;
}

SocketAddress SocketAddress::of(const policy::IpAddress& address, std::uint16_t port) {
  SocketAddress result;
  if (address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(result.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes().data(), sizeof v4.sin_addr);
    result.size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(result.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), sizeof v6.sin6_addr);
    result.size = sizeof v6;
  }
  return result;
}

SocketAddress SocketAddress::local(int descriptor) {
  SocketAddress result;
  if (::getsockname(descriptor, result.get(), &result.size) != 0) return of({}, 0);
  return result;
}

std::uint16_t SocketAddress::port() const {
  // sin_port and sin6_port have the same place.
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

}  // namespace iron::proxy
