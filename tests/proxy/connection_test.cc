#include "proxy/net/connection.h"

#include <gtest/gtest.h>
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
#include "tests/proxy/scripted_peer.h"

namespace iron::proxy {
namespace {

/// A connection over TCP whose far end the test holds.
class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() {
    const test::SocketPair pair(test::Link::tcp);
    far_ = pair.peer;
    connection_.emplace(loop_, pair.session);
  }
  ~ConnectionTest() override { ::close(far_); }
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
