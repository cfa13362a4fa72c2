#include "proxy/wait/watch.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

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
