#include "proxy/net/connection_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace iron::proxy {
namespace {

using policy::IpAddress;

IpAddress client(const char* text) { return IpAddress::parse(text).value(); }

TEST(ConnectionGate, AdmitsUpToItsLimit) {
  ConnectionGate gate;
  gate.set_limits(2, 0);
  EXPECT_TRUE(gate.enter(client("10.0.0.1")));
  EXPECT_TRUE(gate.enter(client("10.0.0.1")));
  EXPECT_FALSE(gate.enter(client("10.0.0.2")));
  EXPECT_FALSE(gate.enter(client("10.0.0.2"))) << "a refusal must not count";
  gate.leave(client("10.0.0.1"));
  EXPECT_TRUE(gate.enter(client("10.0.0.2")));
  EXPECT_FALSE(gate.enter(client("10.0.0.1")));
}

TEST(ConnectionGate, AdmitsEachClientUpToItsOwnLimit) {
  ConnectionGate gate;
  gate.set_limits(100, 2);
  EXPECT_TRUE(gate.enter(client("10.0.0.1")));
  EXPECT_TRUE(gate.enter(client("10.0.0.1")));
  EXPECT_FALSE(gate.enter(client("10.0.0.1")));
  EXPECT_TRUE(gate.enter(client("10.0.0.2")));
  gate.leave(client("10.0.0.1"));
  EXPECT_TRUE(gate.enter(client("10.0.0.1")));
  EXPECT_FALSE(gate.enter(client("10.0.0.1")));
}

TEST(ConnectionGate, ARefusedClientTakesNoPlaceOfOthers) {
  ConnectionGate gate;
  gate.set_limits(3, 1);
  EXPECT_TRUE(gate.enter(client("10.0.0.1")));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(gate.enter(client("10.0.0.1")));
  EXPECT_TRUE(gate.enter(client("10.0.0.2")));
  EXPECT_TRUE(gate.enter(client("10.0.0.3")));
  EXPECT_FALSE(gate.enter(client("10.0.0.4")));
}

TEST(ConnectionGate, CountsExactlyUnderManyThreads) {
  ConnectionGate gate;
  gate.set_limits(10, 3);
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        if (!gate.enter(client("10.0.0.1"))) continue;
        const int now = ++inside;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        --inside;
        gate.leave(client("10.0.0.1"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(gate.enter(client("10.0.0.1"))) << "nothing is left over";
}

}  // namespace
}  // namespace iron::proxy
