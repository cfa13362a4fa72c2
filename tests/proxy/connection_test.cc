#include "proxy/net/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/wait/event_loop.h"
#include "tests/proxy/scripted_peer.h"

namespace iron::proxy {
namespace {

/// A connection over TCP whose far end the test holds.
class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() { restart(); }
  ~ConnectionTest() override {
    if (far_ >= 0) ::close(far_);
  }
  void restart() {
    if (far_ >= 0) ::close(far_);
    connection_.reset();
    const test::SocketPair pair(test::Link::tcp);
    far_ = pair.peer;
    connection_.emplace(loop_, pair.session);
  }
  /// Closes the far end with a reset.
  void reset() {
    const linger now{1, 0};
    ASSERT_EQ(::setsockopt(far_, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    ::close(std::exchange(far_, -1));
  }
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

/// What was read filled its room, so that more may be there.
TEST_F(ConnectionTest, TheKernelIsAskedWhetherAConnectionIsQuietWhereAReadLeftItOpen) {
  struct Case {
    const char* name;
    std::function<void()> then;
    bool quiet;
  };
  const Case cases[] = {
      {"nothing came", [] {}, true},
      {"a byte came", [this] { send("x"); }, false},
      {"the end came", [this] { ::shutdown(far_, SHUT_WR); }, false},
      {"a reset came", [this] { reset(); }, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    send("12345678");
    look();
    std::array<char, 8> room{};
    ASSERT_EQ(connection_->read(room).size, 8U);
    ASSERT_TRUE(connection_->maybe_readable());
    row.then();
    EXPECT_EQ(connection_->quiet(), row.quiet);
    EXPECT_EQ(connection_->maybe_readable(), !row.quiet);
  }
}

TEST_F(ConnectionTest, WhatWasGivenBackToTheStreamIsThereToBeRead) {
  connection_->stream().unread("x");
  EXPECT_FALSE(connection_->quiet());
}

TEST_F(ConnectionTest, TheKernelIsNotAskedWhereAllWasRead) {
  EXPECT_TRUE(connection_->quiet());
  send("x");
  EXPECT_TRUE(connection_->quiet()) << "the loop has not told of it";
  look();
  EXPECT_FALSE(connection_->quiet());
}

}  // namespace
}  // namespace iron::proxy
