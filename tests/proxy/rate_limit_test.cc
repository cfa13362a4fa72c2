#include "proxy/log/rate_limit.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

const RateLimit::Clock::time_point kStart{1h};

int admitted(RateLimit& limit, int records, RateLimit::Clock::time_point now) {
  int count = 0;
  for (int i = 0; i < records; ++i) count += limit.admit(now) ? 1 : 0;
  return count;
}

TEST(RateLimit, TenInASecondThatBeginsWithTheFirst) {
  RateLimit limit;
  EXPECT_EQ(admitted(limit, 4, kStart), 4);
  EXPECT_EQ(admitted(limit, 25, kStart + 999ms), 6);
  EXPECT_EQ(admitted(limit, 25, kStart + 1000ms), 10);
  EXPECT_EQ(admitted(limit, 1, kStart + 1999ms), 0);
  EXPECT_EQ(admitted(limit, 1, kStart + 1h), 1);
}

TEST(RateLimit, AsManyASecondAsItIsToldOf) {
  for (const int most : {1, 3, 255}) {
    RateLimit limit(static_cast<std::uint8_t>(most));
    EXPECT_EQ(admitted(limit, 400, kStart), most);
    EXPECT_EQ(admitted(limit, 400, kStart + 999ms), 0) << most;
    EXPECT_EQ(admitted(limit, 400, kStart + 1000ms), most);
  }
}

TEST(RateLimit, AClockReadEarlierOpensNothing) {
  RateLimit limit;
  EXPECT_EQ(admitted(limit, 10, kStart), 10);
  EXPECT_EQ(admitted(limit, 1, kStart - 1ms), 0);
}

TEST(RateLimit, CountsAllThreadsTogether) {
  RateLimit limit;
  std::atomic<int> count{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { count += admitted(limit, 100, kStart); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 10);
}

}  // namespace
}  // namespace iron::proxy
