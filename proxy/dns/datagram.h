#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace iron::proxy::dns {

/// Where a datagram came from and which of our addresses it was sent to: the reply leaves from
/// there, also on a socket that is bound to all addresses.
struct ReturnPath {
  sockaddr_storage peer{};
  socklen_t peer_size = 0;
  int family = AF_UNSPEC;  ///< of the address below; AF_UNSPEC if it is not known
  in_addr local4{};
  in6_addr local6{};
  unsigned interface = 0;  ///< of a link-local address
};

struct Datagram {
  std::array<char, 4096> bytes;
  std::size_t size = 0;
  ReturnPath path;
};

/// Asks the kernel for the local address of each datagram.
void want_local_address(int descriptor);
/// False with errno set if nothing could be read. Never blocks.
bool receive(int descriptor, Datagram& datagram);
/// False with errno set. Never blocks.
bool reply(int descriptor, const ReturnPath& path, std::string_view bytes);

}  // namespace iron::proxy::dns
