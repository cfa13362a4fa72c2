#pragma once

#include <cstdint>

#include "policy/match/ip_address.h"

namespace iron::proxy {

/// Which listener a client came to.
enum class Entry { http, https, tunnel };

/// The other end of a connection.
struct Peer {
  policy::IpAddress address;
  std::uint16_t port = 0;
};

}  // namespace iron::proxy
