#include "proxy/run/services.h"

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

IpAddress address(const char* text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed) << text;
  return *parsed;
}

TEST(OwnAddresses, AreThoseOfTheListeners) {
  OwnAddresses own;
  own.add(address("10.1.2.3"), 8080);
  own.add(address("::1"), 8443);
  EXPECT_TRUE(own.contains(address("10.1.2.3"), 8080));
  EXPECT_FALSE(own.contains(address("10.1.2.3"), 8081));
  EXPECT_FALSE(own.contains(address("10.1.2.4"), 8080));
  EXPECT_TRUE(own.contains(address("::1"), 8443));
  EXPECT_FALSE(own.contains(address("::1"), 8080));
}

TEST(OwnAddresses, OfAWildcardListenerAreAllOfThisMachine) {
  OwnAddresses own;
  own.add_all_local(8080);
  for (const char* text : {"127.0.0.1", "127.9.9.9", "0.0.0.0", "::", "::1"}) {
    EXPECT_TRUE(own.contains(address(text), 8080)) << text;
    EXPECT_FALSE(own.contains(address(text), 8081)) << text;
  }
  EXPECT_FALSE(own.contains(address("192.0.2.1"), 8080));
}

TEST(OwnAddresses, OfALoopbackListenerIncludeTheUnspecifiedAddress) {
  OwnAddresses own;
  own.add(address("127.0.0.1"), 8080);
  EXPECT_TRUE(own.contains(address("0.0.0.0"), 8080)) << "the kernel takes it for loopback";
}

}  // namespace
}  // namespace iron::proxy
