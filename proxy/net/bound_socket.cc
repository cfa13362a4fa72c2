#include "proxy/net/bound_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "proxy/net/errno_text.h"
#include "proxy/net/keep_alive.h"

namespace iron::proxy {
namespace {

struct LocalName {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
};

LocalName local_name(int descriptor) {
  LocalName name;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&name.storage), &name.size);
  return name;
}

Result<BoundSocket> bind_to(const LocalName& name, int type, const std::string& what) {
  BoundSocket bound(::socket(name.storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (bound.get() < 0) return fail(what + ": socket: " + errno_text(errno));
  const int on = 1, off = 0;
  if (type == SOCK_STREAM) {
    // A port that the kernel chooses must be nobody else's: two programs that start at the same
    // time would get the same one, and the second finds out when it listens.
    const bool chosen_by_kernel = peer_of(name.storage).port == 0;
    if (!chosen_by_kernel) {
      ::setsockopt(bound.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    keep_alive(bound.get());
  }
  if (name.storage.ss_family == AF_INET6) {
    ::setsockopt(bound.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (::bind(bound.get(), reinterpret_cast<const sockaddr*>(&name.storage), name.size) != 0) {
    return fail(what + ": bind: " + errno_text(errno));
  }
  return bound;
}

}  // namespace

Peer peer_of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &v4.sin_addr, 4);
    return {policy::IpAddress::v4(bytes), ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &v6.sin6_addr, 16);
  return {policy::IpAddress::v6(bytes), ntohs(v6.sin6_port)};
}

std::string peer_text(const sockaddr_storage& storage) {
  const Peer peer = peer_of(storage);
  return peer.address.text_with_port(peer.port);
}

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

std::string BoundSocket::local_address() const {
  const LocalName name = local_name(descriptor_);
  const Peer peer = peer_of(name.storage);
  const bool any6 =
      name.storage.ss_family == AF_INET6 &&
      IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(name.storage).sin6_addr);
  if (any6) return "[::]:" + std::to_string(peer.port);
  return peer.address.text_with_port(peer.port);
}

std::uint16_t BoundSocket::local_port() const {
  return peer_of(local_name(descriptor_).storage).port;
}

Result<BoundSocket> bind_socket(const std::string& address, policy::Transport transport) {
  const auto resolved = policy::resolve_listen_address(address, transport);
  if (resolved.has_error()) return resolved.error();
  const bool tcp = transport == policy::Transport::tcp;
  const std::string what = (tcp ? "listen tcp " : "listen udp ") + resolved->text;
  const int type = tcp ? SOCK_STREAM : SOCK_DGRAM;
  LocalName name;
  if (!resolved->address || !resolved->address->is_v4()) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(name.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(resolved->port);
    v6.sin6_scope_id = resolved->scope;
    if (resolved->address) std::memcpy(&v6.sin6_addr, resolved->address->bytes().data(), 16);
    name.size = sizeof v6;
    Result<BoundSocket> bound = bind_to(name, type, what);
    if (bound.has_value() || resolved->address) return bound;
    if (bound.error().text.find(": socket: ") == std::string::npos) return bound;
    // No IPv6 on this machine: all IPv4 addresses are what is left.
    name = {};
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(name.storage);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(resolved->port);
  if (resolved->address) std::memcpy(&v4.sin_addr, resolved->address->bytes().data(), 4);
  name.size = sizeof v4;
  return bind_to(name, type, what);
}

Result<BoundSocket> bind_tcp_beside(const BoundSocket& udp) {
  return bind_to(local_name(udp.get()), SOCK_STREAM, "listen tcp " + udp.local_address());
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
