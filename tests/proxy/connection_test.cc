#include "proxy/net/connection.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {

/// A connection over TCP whose far end the test holds.
class ConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(::bind(listener, any, size), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    ASSERT_EQ(::getsockname(listener, any, &size), 0);
    far_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(far_, any, size), 0);
    const int near = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ASSERT_GE(near, 0);
    ::close(listener);
    connection_.emplace(loop_, near);
  }
  void TearDown() override { ::close(far_); }
  void send(std::string_view bytes, int flags = 0) {
    ASSERT_EQ(::send(far_, bytes.data(), bytes.size(), flags), std::ssize(bytes));
  }
  /// What comes, read as sessions do, until the loop says that nothing more is there.
  std::string read_all(std::size_t at_once) {
    std::string all;
    while (connection_->maybe_readable()) {
      std::array<char, 64> room{};
      const IoResult got = connection_->read(std::span(room).first(at_once));
      if (got.status != Io::ok) break;
      all.append(room.data(), got.size);
    }
    return all;
  }
  void look() { loop_.turn(std::chrono::seconds(5)); }

  EventLoop loop_;
  std::optional<Connection> connection_;
  int far_ = -1;
};

TEST_F(ConnectionTest, WhatLiesBehindUrgentDataIsReadToo) {
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{5}, std::size_t{64}}) {
    send("abcde");
    send("!", MSG_OOB);
    send("fghij");
    look();
    EXPECT_EQ(read_all(at_once), "abcdefghij") << at_once;
  }
  send("as before");
  look();
  EXPECT_EQ(read_all(64), "as before");
}

TEST_F(ConnectionTest, UrgentDataAloneIsNothingToRead) {
  send("!", MSG_OOB);
  look();
  EXPECT_EQ(read_all(64), "");
  EXPECT_FALSE(connection_->maybe_readable());
  send("abc");
  look();
  EXPECT_EQ(read_all(64), "abc");
}

TEST_F(ConnectionTest, ReadsNoMoreThanOnceWhereTheReadSaysThatNothingIsLeft) {
  send("abc");
  look();
  std::array<char, 8> room{};
  EXPECT_EQ(connection_->read(room).size, 3U);
  EXPECT_FALSE(connection_->maybe_readable());
  send("12345678");
  look();
  EXPECT_EQ(connection_->read(room).size, 8U);
  EXPECT_TRUE(connection_->maybe_readable()) << "there may be more";
  EXPECT_EQ(connection_->read(room).status, Io::want_read);
  EXPECT_FALSE(connection_->maybe_readable());
}

}  // namespace
}  // namespace iron::proxy
