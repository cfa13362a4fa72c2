#include "proxy/log/distrust_notices.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using policy::IpAddress;
using Time = DistrustNotices::Clock::time_point;

const Time kStart{1h};
const IpAddress kOne = IpAddress::v4({10, 0, 0, 1}), kTwo = IpAddress::v4({10, 0, 0, 2});

std::string host(std::size_t number) { return "h" + std::to_string(number) + ".test"; }

TEST(DistrustNotices, EachPairOnceInTenMinutes) {
  DistrustNotices notices;
  EXPECT_TRUE(notices.admit(kOne, "a.test", kStart));
  EXPECT_FALSE(notices.admit(kOne, "a.test", kStart));
  EXPECT_TRUE(notices.admit(kTwo, "a.test", kStart));
  EXPECT_TRUE(notices.admit(kOne, "b.test", kStart));
  // What is seen in between does not make the silence longer.
  for (const auto later : {1min, 5min, 9min}) {
    EXPECT_FALSE(notices.admit(kOne, "a.test", kStart + later));
  }
  EXPECT_FALSE(notices.admit(kOne, "a.test", kStart + 10min - 1ns));
  EXPECT_TRUE(notices.admit(kOne, "a.test", kStart + 10min));
  EXPECT_FALSE(notices.admit(kOne, "a.test", kStart + 20min - 1ns));
  EXPECT_TRUE(notices.admit(kOne, "a.test", kStart + 20min));
}

TEST(DistrustNotices, TenASecond) {
  DistrustNotices notices;
  int written = 0;
  for (std::size_t i = 0; i < 30; ++i) written += notices.admit(kOne, host(i), kStart) ? 1 : 0;
  EXPECT_EQ(written, 10);
  EXPECT_FALSE(notices.admit(kOne, host(29), kStart + 999ms));
  // What was held back was not told, so it is still to be told; what was told is not.
  EXPECT_TRUE(notices.admit(kOne, host(29), kStart + 1s));
  EXPECT_FALSE(notices.admit(kOne, host(0), kStart + 1s));
  written = 0;
  for (std::size_t i = 0; i < 30; ++i) written += notices.admit(kOne, host(i), kStart + 1s) ? 1 : 0;
  EXPECT_EQ(written, 9);
}

TEST(DistrustNotices, TheLeastRecentlySeenPairIsForgotten) {
  DistrustNotices notices;
  Time now = kStart;
  for (std::size_t i = 0; i < DistrustNotices::kPairs; ++i, now += 100ms) {
    ASSERT_TRUE(notices.admit(kOne, host(i), now)) << i;
  }
  EXPECT_FALSE(notices.admit(kOne, host(0), now)) << "all are remembered";
  now += 100ms;
  EXPECT_TRUE(notices.admit(kOne, "one-more.test", now));
  EXPECT_FALSE(notices.admit(kOne, host(0), now)) << "it was seen last";
  EXPECT_FALSE(notices.admit(kOne, host(2), now));
  now += 100ms;
  EXPECT_TRUE(notices.admit(kOne, host(1), now)) << "it made way";
}

TEST(DistrustNotices, ThreadsMayAskAtTheSameTime) {
  DistrustNotices notices;
  std::atomic<int> written = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (std::size_t n = 0; n < 50; ++n) written += notices.admit(kOne, host(n), kStart) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(written, 10);
}

}  // namespace
}  // namespace iron::proxy
