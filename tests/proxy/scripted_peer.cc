#include "tests/proxy/scripted_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace iron::proxy::test {
namespace {

void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

Listener::Listener() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  check(::bind(descriptor_, name, size) == 0 && ::listen(descriptor_, 1) == 0, "no listener");
  ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
  ::getsockname(descriptor_, name, &size);
  port_ = ntohs(address.sin_port);
}

Listener::~Listener() { ::close(descriptor_); }

int Listener::accept() const {
  return ::accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int connect_to(std::uint16_t port, std::uint8_t from) {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in own = loopback(0);
  own.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffU) | from);
  const sockaddr_in address = loopback(port);
  check(::bind(made, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0 &&
            ::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
        "no connection");
  ::fcntl(made, F_SETFL, O_NONBLOCK);
  const int one = 1;
  ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return made;
}

SocketPair::SocketPair(Link link) {
  if (link == Link::tcp) {
    const Listener listener;
    peer = listener.connect();
    session = listener.accept();
    check(session >= 0, "nothing accepted");
    return;
  }
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
        "no pair of sockets");
  session = ends[0];
  peer = ends[1];
}

void ScriptedPeer::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void ScriptedPeer::reset() {
  const linger at_once{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

bool ScriptedPeer::move() {
  if (descriptor_ < 0) return false;
  const bool sent = send_some();
  const bool received = receive_some();
  return sent || received;
}

bool ScriptedPeer::send_some() {
  bool moved = false;
  while (!outgoing_.empty()) {
    const auto sent = ::send(descriptor_, outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return moved;
    moved = true;
    // To a session that has gone nothing can be said any more.
    outgoing_.erase(0, sent < 0 ? outgoing_.npos : static_cast<std::size_t>(sent));
  }
  if (!std::exchange(finishing_, false)) return moved;
  ::shutdown(descriptor_, SHUT_WR);
  return true;
}

bool ScriptedPeer::receive_some() {
  std::array<char, 65536> bytes;
  bool moved = false;
  while (reads_ && end_ == End::none) {
    const auto got = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EAGAIN) break;
    moved = true;
    if (got > 0) {
      received_.append(bytes.data(), static_cast<std::size_t>(got));
    } else {
      end_ = got == 0 ? End::eof : End::reset;
    }
  }
  // What was received is acknowledged now; a local socket has no such option.
  const int one = 1;
  if (moved) ::setsockopt(descriptor_, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
  return moved;
}

bool ScriptedPeer::in_flight() const {
  int waiting = 0;
  return ::ioctl(descriptor_, SIOCOUTQ, &waiting) == 0 && waiting > 0;
}

std::string ScriptedPeer::take() {
  return received_.substr(std::exchange(taken_, received_.size()));
}

}  // namespace iron::proxy::test
