#include "proxy/log/log_waiters.h"

#include <gtest/gtest.h>

namespace iron::proxy {
namespace {

struct Counted : LogWaiter {
  void on_progress() noexcept override { ++told; }
  int told = 0;
};

TEST(LogWaiters, AreToldOncePerWait) {
  LogWaiters all;
  Counted one, other;
  all.attach(one);
  all.attach(other);
  EXPECT_FALSE(all.any());
  all.wait(one);
  all.wait(one);
  EXPECT_TRUE(all.any());
  all.tell();
  all.tell();
  EXPECT_FALSE(all.any());
  EXPECT_EQ(one.told, 1);
  EXPECT_EQ(other.told, 0);
  all.wait(one);
  all.wait(other);
  all.tell();
  EXPECT_EQ(one.told, 2);
  EXPECT_EQ(other.told, 1);
}

TEST(LogWaiters, WhoLeavesIsNotTold) {
  LogWaiters all;
  Counted gone, stays;
  all.attach(gone);
  all.attach(stays);
  all.wait(gone);
  all.detach(gone);
  EXPECT_FALSE(all.any());
  all.wait(stays);
  EXPECT_TRUE(all.any());
  all.detach(gone);
  EXPECT_TRUE(all.any());
  all.tell();
  EXPECT_EQ(gone.told, 0);
  EXPECT_EQ(stays.told, 1);
}

}  // namespace
}  // namespace iron::proxy
