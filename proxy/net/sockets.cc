#include "proxy/net/sockets.h"

#include <sys/socket.h>

#include <set>
#include <utility>

namespace iron::proxy {
namespace {

BoundSocket bind_or_fail(const std::string& address,
                         policy::Transport transport,
                         const std::string& prefix) {
  Result<BoundSocket> bound = bind_socket(address, transport);
  if (bound.has_error()) throw ListenFailed{prefix, bound.error().text};
  return std::move(*bound);
}

void bind_traffic(Sockets& sockets,
                  const std::string& first,
                  const std::vector<std::string>& further,
                  Entry entry) {
  std::set<std::string> seen;
  std::vector<std::string> addresses;
  if (!first.empty() || entry != Entry::tunnel) addresses.push_back(first);
  addresses.insert(addresses.end(), further.begin(), further.end());
  for (const std::string& address : addresses) {
    if (!seen.insert(address).second) continue;
    sockets.traffic.push_back(
        {entry, bind_or_fail(address, policy::Transport::tcp, ListenFailed::of(entry))});
  }
}

/// UDP and TCP on one port. A port that the kernel chose for UDP may be taken for TCP, so a few are
/// tried.
void bind_dns(const std::string& address, Sockets& sockets) {
  constexpr int kTries = 16;
  const bool chosen_by_kernel = address.ends_with(":0");
  for (int left = chosen_by_kernel ? kTries : 1; left > 0; --left) {
    sockets.dns_udp = bind_or_fail(address, policy::Transport::udp, ListenFailed::kDns);
    Result<BoundSocket> tcp = bind_tcp_beside(sockets.dns_udp);
    // Somebody else's socket may share the port until one of both listens.
    const bool shared =
        chosen_by_kernel && left > 1 && tcp.has_value() && ::listen(tcp->get(), SOMAXCONN) != 0;
    if (tcp.has_value() && !shared) {
      sockets.dns_tcp = std::move(*tcp);
      return;
    }
    if (left == 1) throw ListenFailed{ListenFailed::kDns, tcp.error().text};
  }
}

}  // namespace

Sockets bind_all(const policy::Config& config) {
  Sockets sockets;
  bind_traffic(sockets, config.proxy.http_listen, config.proxy.http_listens, Entry::http);
  bind_traffic(sockets, config.proxy.https_listen, {}, Entry::https);
  bind_traffic(sockets, config.proxy.tunnel_listen, config.proxy.tunnel_listens, Entry::tunnel);
  sockets.metrics =
      bind_or_fail(config.metrics.listen, policy::Transport::tcp, ListenFailed::kMetrics);
  if (!config.management.listen.empty()) {
    sockets.management =
        bind_or_fail(config.management.listen, policy::Transport::tcp, ListenFailed::kManagement);
  }
  if (config.dns.enabled) {
    bind_dns(config.dns.listen, sockets);
  }
  return sockets;
}

}  // namespace iron::proxy
