#include "proxy/log/refusal_limiter.h"

#include <gtest/gtest.h>

#include <chrono>

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using policy::IpAddress;

const RefusalLimiter::Clock::time_point kStart{1h};

int admitted(RefusalLimiter& limiter,
             const IpAddress& client,
             int refusals,
             RefusalLimiter::Clock::time_point now) {
  int count = 0;
  for (int i = 0; i < refusals; ++i) count += limiter.admit(client, now) ? 1 : 0;
  return count;
}

TEST(RefusalLimiter, TenASecondPerAddressThenACount) {
  RefusalLimiter limiter;
  const IpAddress one = IpAddress::v4({10, 0, 0, 1}), two = IpAddress::v4({10, 0, 0, 2});
  EXPECT_EQ(admitted(limiter, one, 25, kStart), 10);
  EXPECT_EQ(admitted(limiter, two, 10, kStart), 10);
  EXPECT_TRUE(limiter.take_due(kStart + 999ms).empty());
  const auto due = limiter.take_due(kStart + 1s);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].remote_addr, "10.0.0.1");
  EXPECT_EQ(due[0].count, 15u);
  EXPECT_TRUE(limiter.take_due(kStart + 2s).empty());
}

TEST(RefusalLimiter, ANewSecondAllowsTenAgainAndKeepsTheOldCount) {
  RefusalLimiter limiter;
  const IpAddress client = IpAddress::v4({10, 0, 0, 1});
  EXPECT_EQ(admitted(limiter, client, 12, kStart), 10);
  EXPECT_EQ(admitted(limiter, client, 13, kStart + 1s), 10);
  auto due = limiter.take_due(kStart + 1s);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].count, 2u);
  due = limiter.take_due(kStart + 2s);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].count, 3u);
}

TEST(RefusalLimiter, HoldsABoundedNumberOfAddresses) {
  RefusalLimiter limiter;
  const auto address = [](std::size_t i) {
    return IpAddress::v4({11, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)});
  };
  for (std::size_t i = 0; i < RefusalLimiter::kMaxClients; ++i) {
    EXPECT_TRUE(limiter.admit(address(i), kStart));
  }
  int written = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    written += limiter.admit(address(RefusalLimiter::kMaxClients + i), kStart) ? 1 : 0;
  }
  EXPECT_EQ(written, 10);
  EXPECT_TRUE(limiter.admit(IpAddress::v4({12, 0, 0, 1}), kStart + 1s));
  const auto due = limiter.take_due(kStart + 2s);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].remote_addr, "");
  EXPECT_EQ(due[0].count, 90u);
}

}  // namespace
}  // namespace iron::proxy
