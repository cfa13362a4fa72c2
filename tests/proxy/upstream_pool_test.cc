#include "proxy/net/upstream_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/proxy/upstream_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class UpstreamPoolTest : public UpstreamTest {
 protected:
  UpstreamPool& pool() { return pool_; }

  IdleBudget beyond_own_;
  UpstreamPool pool_{loop_, beyond_own_, 1};
};

TEST_F(UpstreamPoolTest, KeysTellTargetsApart) {
  std::set<std::string> keys;
  for (const bool tls : {false, true}) {
    for (const char* host : {"h.test", "g.test", "10.0.0.1", "::1", "::1:80"}) {
      for (const int port : {80, 443, 8080}) {
        UpstreamTarget target;
        target.tls = tls;
        target.host = host;
        target.port = static_cast<std::uint16_t>(port);
        std::string key = "left over";
        UpstreamPool::make_key(target, key);
        EXPECT_TRUE(keys.insert(key).second) << key;
      }
    }
  }
}

TEST_F(UpstreamPoolTest, LendsTheMostRecentlyUsed) {
  UpstreamPtr one = connect("a"), two = connect("a");
  const UpstreamConnection* const newest = two.get();
  pool().put(std::move(one));
  pool().put(std::move(two));
  EXPECT_EQ(pool().idle_count(), 2u);
  EXPECT_EQ(pool().take("b", false), nullptr);
  const UpstreamPtr taken = pool().take("a", true);
  EXPECT_EQ(taken.get(), newest);
  EXPECT_TRUE(taken->reused);
  EXPECT_EQ(pool().idle_count(), 1u);
}

TEST_F(UpstreamPoolTest, WhatEndedWhileItIdledIsNotLent) {
  SocketEnds* peer = nullptr;
  pool().put(connect("a", &peer));
  settle();
  peer->close();
  settle();
  EXPECT_EQ(pool().take("a", false), nullptr);
  EXPECT_EQ(pool().idle_count(), 0u);
}

TEST_F(UpstreamPoolTest, AnAnswerNobodyAskedForIsNotServed) {
  SocketEnds* peer = nullptr;
  pool().put(connect("a", &peer));
  peer->send("HTTP/1.1 200 OK\r\n\r\n");
  settle();
  EXPECT_EQ(pool().take("a", false), nullptr);
}

TEST_F(UpstreamPoolTest, TheKernelIsAskedWhereTheLoopHasNotSeenTheEnd) {
  SocketEnds* peer = nullptr;
  pool().put(connect("a", &peer));
  peer->end_sending();
  EXPECT_EQ(pool().take("a", true), nullptr);
}

TEST_F(UpstreamPoolTest, KeepsSixtyFourPerKey) {
  std::vector<const UpstreamConnection*> made;
  for (int i = 0; i < 70; ++i) {
    UpstreamPtr connection = connect("a");
    made.push_back(connection.get());
    pool().put(std::move(connection));
  }
  EXPECT_EQ(pool().idle_count(), 64u);
  for (int i = 69; i >= 6; --i) {
    const UpstreamPtr taken = pool().take("a", false);
    EXPECT_EQ(taken.get(), made[static_cast<std::size_t>(i)]) << "the oldest went";
  }
  EXPECT_EQ(pool().take("a", false), nullptr);
}

TEST_F(UpstreamPoolTest, DividesTheNumberOfAllAmongWorkers) {
  UpstreamPool shared(loop_, beyond_own_, 16);
  for (int i = 0; i < 70; ++i) shared.put(connect("k" + std::to_string(i)));
  EXPECT_EQ(shared.idle_count(), 64u) << "1,024 for 16";
  EXPECT_EQ(shared.take("k0", false), nullptr) << "the oldest went";
  EXPECT_NE(shared.take("k69", false), nullptr);
}

TEST_F(UpstreamPoolTest, WorkersShareTheNumberPerKey) {
  UpstreamPool one(loop_, beyond_own_, 2), other(loop_, beyond_own_, 2);
  for (int i = 0; i < 70; ++i) one.put(connect("a"));
  EXPECT_EQ(one.idle_count(), 56u) << "the other's eight are kept free";
  for (int i = 0; i < 70; ++i) other.put(connect("a"));
  EXPECT_EQ(other.idle_count(), 8u);
  EXPECT_NE(one.take("a", false), nullptr);
  for (int i = 0; i < 2; ++i) other.put(connect("a"));
  EXPECT_EQ(other.idle_count(), 9u) << "what one does not use the other may";
  one.put(connect("a"));
  EXPECT_EQ(one.idle_count(), 55u);
  one.clear();
  for (int i = 0; i < 70; ++i) other.put(connect("a"));
  EXPECT_EQ(other.idle_count(), 56u);
}

TEST_F(UpstreamPoolTest, NinetySecondsOfIdlingEndAConnection) {
  pool().put(connect("a"));
  for (int second = 0; second < 89; ++second) advance(1s);
  EXPECT_EQ(pool().idle_count(), 1u);
  advance(2s);
  EXPECT_EQ(pool().idle_count(), 0u);
  EXPECT_EQ(pool().take("a", false), nullptr);
}

TEST_F(UpstreamPoolTest, AReloadEmptiesIt) {
  pool().put(connect("a"));
  pool().put(connect("b"));
  pool().clear();
  EXPECT_EQ(pool().idle_count(), 0u);
  EXPECT_EQ(pool().take("a", false), nullptr);
}

TEST_F(UpstreamPoolTest, NothingIsKeptOnceTheDrainHasBegun) {
  loop_.begin_drain();
  pool().put(connect("a"));
  EXPECT_EQ(pool().idle_count(), 0u);
}

TEST_F(UpstreamPoolTest, SessionsBelongToTheKey) {
  const auto one = pool().sessions("a");
  EXPECT_EQ(pool().sessions("a"), one);
  EXPECT_NE(pool().sessions("b"), one);
}

TEST_F(UpstreamPoolTest, WhatBelongsToAClientIsNeverPooled) {
  UpstreamPtr connection = connect("a");
  connection->belong_to_client();
  pool().put(std::move(connection));
  EXPECT_EQ(pool().idle_count(), 0u);
  EXPECT_EQ(pool().take("a", false), nullptr);
}

}  // namespace
}  // namespace iron::proxy
