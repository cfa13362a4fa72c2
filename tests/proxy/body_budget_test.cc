#include "proxy/net/body_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace iron::proxy {
namespace {

TEST(BodyBudget, IsSharedAndGivenBack) {
  BodyBudget budget;
  budget.set_limit(100);
  {
    BodyShare one(budget), two(budget);
    EXPECT_TRUE(one.hold(60));
    EXPECT_FALSE(two.hold(41));
    EXPECT_TRUE(two.hold(40));
    EXPECT_FALSE(one.hold(61));
    EXPECT_TRUE(one.hold(10)) << "already held";
    EXPECT_FALSE(two.hold(41));
  }
  BodyShare all(budget);
  EXPECT_FALSE(all.hold(101));
  EXPECT_TRUE(all.hold(100));
}

}  // namespace
}  // namespace iron::proxy
