#include "proxy/wait/watch.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "proxy/net/bound_socket.h"
#include "tests/proxy/wait_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class WatchTest : public WaitTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_), 0);
  }
  void TearDown() override {
    for (const int end : ends_) ::close(end);
  }
  int ends_[2] = {-1, -1};
};

TEST_F(WatchTest, WakesWhoArmedItAndNobodyElse) {
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  watch.arm_read();
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{});
  EXPECT_FALSE(watch.readable());
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
  EXPECT_TRUE(watch.readable());
}

TEST_F(WatchTest, AListenerTellsEachTimeOfWhatIsThere) {
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  Watch watch(loop_, ends_[0], Watch::Kind::listener);
  Pause pause(loop_);
  watch.set_pause(&pause);
  for (int round = 0; round < 3; ++round) {  // nobody takes it
    trail_.clear();
    watch.arm_read();
    spawn(sleep(pause, "one"));
    settle();
    EXPECT_EQ(trail_, Trail{"one woke"}) << round;
    watch.clear_readable();
  }
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"}) << "nobody armed it";
}

/// A connect over loopback, under way when it is asked for.
class DialTest : public WaitTest {
 protected:
  DialTest() {
    EXPECT_TRUE(listener_->listen(1));
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::getsockname(listener_->get(), generic, &size), 0);
    ::connect(near_, generic, size);
  }
  ~DialTest() override {
    for (const int descriptor : {near_, far_}) ::close(descriptor);
  }
  void accept() { far_ = ::accept4(listener_->get(), nullptr, nullptr, SOCK_CLOEXEC); }
  Result<BoundSocket> listener_ = bind_socket("127.0.0.1:0", policy::Transport::tcp);
  int near_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int far_ = -1;
};

TEST_F(DialTest, TellsWhenItIsThereAndNothingOfAcknowledgements) {
  Watch watch(loop_, near_, Watch::Kind::dial);
  Pause pause(loop_);
  watch.set_pause(&pause);
  watch.arm_write();
  EXPECT_FALSE(watch.writable());
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
  EXPECT_TRUE(watch.writable());
  accept();
  std::array<char, 4096> bytes{};
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(::send(near_, bytes.data(), bytes.size(), 0), 4096);
    ASSERT_EQ(::recv(far_, bytes.data(), bytes.size(), MSG_WAITALL), 4096);
    EXPECT_FALSE(loop_.poller().wait(0ns)) << round;
  }
}

TEST_F(DialTest, TellsOfRoomEachTimeThatThereWasNone) {
  Watch watch(loop_, near_, Watch::Kind::dial);
  Pause pause(loop_);
  watch.set_pause(&pause);
  settle();
  accept();
  std::vector<char> bytes(1 << 16);
  for (int round = 0; round < 3; ++round) {
    trail_.clear();
    std::size_t sent = 0;
    for (ssize_t size = 0; size >= 0;) {
      size = ::send(near_, bytes.data(), bytes.size(), 0);
      if (size > 0) sent += static_cast<std::size_t>(size);
    }
    ASSERT_EQ(errno, EAGAIN);
    watch.arm_write();
    spawn(sleep(pause, "one"));
    settle();
    EXPECT_EQ(trail_, Trail{}) << round;
    while (sent > 0) {
      const ssize_t size = ::recv(far_, bytes.data(), std::min(bytes.size(), sent), 0);
      ASSERT_GT(size, 0);
      sent -= static_cast<std::size_t>(size);
    }
    settle();
    EXPECT_EQ(trail_, Trail{"one woke"}) << round;
  }
}

TEST_F(WatchTest, WhatAStreamAnnouncedIsRememberedUntilItWasRead) {
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  settle();
  EXPECT_EQ(trail_, Trail{}) << "nobody armed it";
  EXPECT_TRUE(watch.readable());
  for (int round = 0; round < 3; ++round) {  // nobody reads
    trail_.clear();
    watch.arm_read();
    spawn(sleep(pause, "one"));
    settle();
    EXPECT_EQ(trail_, Trail{"one woke"}) << round;
  }
  char byte;
  ASSERT_EQ(::read(ends_[0], &byte, 1), 1);
  watch.clear_readable();
  trail_.clear();
  watch.arm_read();
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{});
  ASSERT_EQ(::write(ends_[1], "y", 1), 1);
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
}

TEST_F(WatchTest, AnEndStaysReadable) {
  Watch watch(loop_, ends_[0]);
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  ::shutdown(ends_[1], SHUT_WR);
  settle();
  char byte;
  ASSERT_EQ(::read(ends_[0], &byte, 1), 1);
  watch.clear_readable();
  EXPECT_TRUE(watch.readable()) << "it is not announced again";
}

TEST_F(WatchTest, TellsOfAnEnd) {
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  watch.arm_read();
  spawn(sleep(pause, "one"));
  ::shutdown(ends_[1], SHUT_WR);
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
  EXPECT_TRUE(watch.readable());
}

TEST_F(WatchTest, TellsOfRoomToWrite) {
  const std::string block(65536, 'x');
  while (::write(ends_[0], block.data(), block.size()) > 0) {
  }
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  watch.arm_write();
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{});
  std::string taken(block.size() * 16, 'x');
  while (::read(ends_[1], taken.data(), taken.size()) > 0) {
  }
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
  EXPECT_TRUE(watch.writable());
}

TEST_F(WatchTest, ItsEndIsHarmlessWhileAnEventIsOnItsWay) {
  Pause pause(loop_);
  auto watch = std::make_unique<Watch>(loop_, ends_[0]);
  watch->set_pause(&pause);
  watch->arm_read();
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  spawn(sleep(pause, "one"));
  watch.reset();
  settle();
  EXPECT_EQ(trail_, Trail{});
  pause.wake();
  settle();
}

}  // namespace
}  // namespace iron::proxy
