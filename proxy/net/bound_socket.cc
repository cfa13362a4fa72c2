#include "proxy/net/bound_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/errno_text.h"
#include "proxy/net/keep_alive.h"
#include "proxy/wait/socket_address.h"

namespace iron::proxy {
namespace {

Result<BoundSocket> bind_to(const SocketAddress& name, int type, const std::string& what) {
  BoundSocket bound(::socket(name.storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (bound.get() < 0) return fail(what + ": socket: " + policy::errno_text(errno));
  const int on = 1, off = 0;
  if (type == SOCK_STREAM) {
    // A port that the kernel chooses must be nobody else's: two programs that start at the same
    // time would get the same one, and the second finds out when it listens.
    const bool chosen_by_kernel = name.port() == 0;
    if (!chosen_by_kernel) {
      ::setsockopt(bound.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    keep_alive(bound.get());
  }
  if (name.storage.ss_family == AF_INET6) {
    ::setsockopt(bound.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (::bind(bound.get(), name.get(), name.size) != 0) {
    return fail(what + ": bind: " + policy::errno_text(errno));
  }
  return bound;
}

}  // namespace

bool BoundSocket::listen(int backlog) {
  if (::listen(descriptor_, backlog) != 0) return false;
  const int on = 1;
  ::setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return true;
}

BoundSocket& BoundSocket::operator=(BoundSocket&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

BoundSocket::~BoundSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string BoundSocket::local_address() const { return SocketAddress::local(descriptor_).text(); }

std::uint16_t BoundSocket::local_port() const { return SocketAddress::local(descriptor_).port(); }

Result<BoundSocket> bind_socket(const std::string& address, policy::Transport transport) {
  const auto resolved = policy::resolve_listen_address(address, transport);
  if (resolved.has_error()) return resolved.error();
  const bool tcp = transport == policy::Transport::tcp;
  const std::string what = (tcp ? "listen tcp " : "listen udp ") + resolved->text;
  const int type = tcp ? SOCK_STREAM : SOCK_DGRAM;
  if (!resolved->address || !resolved->address->is_v4()) {
    // The default address is the unspecified one of IPv6.
    SocketAddress name =
        SocketAddress::of(resolved->address.value_or(policy::IpAddress()), resolved->port);
    reinterpret_cast<sockaddr_in6&>(name.storage).sin6_scope_id = resolved->scope;
    Result<BoundSocket> bound = bind_to(name, type, what);
    if (bound.has_value() || resolved->address) return bound;
    if (bound.error().text.find(": socket: ") == std::string::npos) return bound;
    // No IPv6 on this machine: all IPv4 addresses are what is left.
  }
  const policy::IpAddress any = policy::IpAddress::v4({});
  return bind_to(SocketAddress::of(resolved->address.value_or(any), resolved->port), type, what);
}

Result<BoundSocket> bind_tcp_beside(const BoundSocket& udp) {
  return bind_to(SocketAddress::local(udp.get()), SOCK_STREAM, "listen tcp " + udp.local_address());
}

const char* ListenFailed::of(Entry entry) {
  switch (entry) {
    case Entry::https:
      return "proxy: https listen: ";
    case Entry::tunnel:
      return "proxy: tunnel: tunnel listen: ";
    case Entry::http:
      break;
  }
  return "proxy: http listen: ";
}

}  // namespace iron::proxy
