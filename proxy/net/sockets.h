#pragma once

#include <string>
#include <vector>

#include "policy/config/config.h"
#include "proxy/net/bound_socket.h"

namespace iron::proxy {

/// The sockets of the configuration, bound in the order in which a conflict is to be reported.
struct Sockets {
  struct Bound {
    Entry entry;
    BoundSocket socket;
  };
  std::vector<Bound> traffic;
  BoundSocket metrics, management, dns_udp, dns_tcp;
};

/// Throws ListenFailed.
Sockets bind_all(const policy::Config& config);

}  // namespace iron::proxy
