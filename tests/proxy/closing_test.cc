#include "proxy/net/closing.h"

#include <gtest/gtest.h>

namespace iron::proxy {
namespace {

using std::chrono::milliseconds;
using After = CloseClock::After;
const SteadyTime kBegin{std::chrono::hours(1)};

SteadyTime at(int milliseconds_later) { return kBegin + milliseconds(milliseconds_later); }

TEST(CloseClock, EndsTwoSecondsAfterTheLastByteOnceAllIsAcknowledged) {
  CloseClock clock(After::answer, kBegin);
  EXPECT_FALSE(clock.over(at(0), true));
  EXPECT_FALSE(clock.over(at(1999), true));
  clock.received(at(1999));
  EXPECT_FALSE(clock.over(at(3998), true));
  EXPECT_TRUE(clock.over(at(3999), true));
}

TEST(CloseClock, WaitsForTheAcknowledgementFirst) {
  CloseClock clock(After::answer, kBegin);
  EXPECT_FALSE(clock.over(at(5000), false));
  EXPECT_FALSE(clock.over(at(5050), true));
  EXPECT_FALSE(clock.over(at(7049), true));
  EXPECT_TRUE(clock.over(at(7050), true));
}

TEST(CloseClock, IsBoundedInAll) {
  CloseClock writes(After::answer, kBegin), silent(After::answer, kBegin);
  for (int now = 0; now < 15'000; now += 500) {
    writes.received(at(now));
    EXPECT_FALSE(writes.over(at(now), true)) << now;
    EXPECT_FALSE(silent.over(at(now), false)) << now;
  }
  EXPECT_TRUE(writes.over(at(15'000), true));
  EXPECT_TRUE(silent.over(at(15'000), false));
}

TEST(CloseClock, OfAnIdleConnectionNeedsTheAcknowledgementAlone) {
  CloseClock clock(After::idling, kBegin);
  EXPECT_FALSE(clock.over(at(500), false));
  EXPECT_TRUE(clock.over(at(550), true));
}

TEST(CloseClock, IsAskedAgainInTime) {
  CloseClock clock(After::answer, kBegin);
  EXPECT_FALSE(clock.over(at(0), false));
  EXPECT_LE(clock.next_look(at(0)), at(250)) << "nothing tells of an acknowledgement";
  EXPECT_FALSE(clock.over(at(1000), true));
  EXPECT_EQ(clock.next_look(at(1000)), at(3000));
  clock.received(at(14'500));
  EXPECT_EQ(clock.next_look(at(14'500)), at(15'000));
}

}  // namespace
}  // namespace iron::proxy
