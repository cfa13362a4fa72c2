#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

namespace iron::proxy {

/// Two connected sockets that do not block: one for what is tested, one that the test holds.
class SocketEnds {
 public:
  SocketEnds() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()),
              0);
  }
  ~SocketEnds() {
    if (ends_[0] >= 0) ::close(ends_[0]);
    close();
  }
  SocketEnds(const SocketEnds&) = delete;
  SocketEnds& operator=(const SocketEnds&) = delete;

  /// The end of what is tested, which closes it.
  int give_away() { return std::exchange(ends_[0], -1); }
  int descriptor() const { return ends_[1]; }

  void send(std::string_view bytes) {
    EXPECT_EQ(::send(ends_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// All that came so far.
  std::string received() {
    std::string all;
    std::array<char, 65536> part{};
    ssize_t size = 0;
    while ((size = ::read(ends_[1], part.data(), part.size())) > 0) {
      all.append(part.data(), static_cast<std::size_t>(size));
    }
    return all;
  }
  /// The other end is closed, or has ended its side, and all that came before was received.
  bool ended() const {
    char byte;
    const auto got = ::recv(ends_[1], &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }
  void end_sending() { ::shutdown(ends_[1], SHUT_WR); }
  void close() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

}  // namespace iron::proxy
