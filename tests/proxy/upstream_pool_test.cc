#include "proxy/net/upstream_pool.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proxy/net/own_upstreams.h"
#include "tests/proxy/manual_clock.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class UpstreamPoolTest : public testing::Test {
 protected:
  UpstreamPool& pool() { return pool_; }
  /// A fresh connection for `key`; the peer's end is in `peer`.
  UpstreamPtr connect(const std::string& key, int* peer = nullptr) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    auto connection = std::make_unique<UpstreamConnection>(loop_, ends[0]);
    connection->key = key;
    peers_.push_back(ends[1]);
    if (peer != nullptr) *peer = ends[1];
    return connection;
  }
  /// Lets the loop see what has become readable.
  void settle() {
    while (loop_.turn()) {
    }
  }
  void pass(std::chrono::nanoseconds time) {
    clock_.advance(time);
    settle();
  }
  void TearDown() override {
    pool_.clear();
    settle();
    for (const int peer : peers_) ::close(peer);
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  IdleBudget beyond_own_;
  UpstreamPool pool_{loop_, beyond_own_, 1};
  std::vector<int> peers_;
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
  int peer = -1;
  pool().put(connect("a", &peer));
  settle();
  ASSERT_EQ(::shutdown(peer, SHUT_RDWR), 0);
  settle();
  EXPECT_EQ(pool().take("a", false), nullptr);
  EXPECT_EQ(pool().idle_count(), 0u);
}

TEST_F(UpstreamPoolTest, AnAnswerNobodyAskedForIsNotServed) {
  int peer = -1;
  pool().put(connect("a", &peer));
  ASSERT_EQ(::send(peer, "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
  settle();
  EXPECT_EQ(pool().take("a", false), nullptr);
}

TEST_F(UpstreamPoolTest, TheKernelIsAskedWhereTheLoopHasNotSeenTheEnd) {
  int peer = -1;
  pool().put(connect("a", &peer));
  ASSERT_EQ(::shutdown(peer, SHUT_WR), 0);
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
  for (int second = 0; second < 89; ++second) pass(1s);
  EXPECT_EQ(pool().idle_count(), 1u);
  pass(2s);
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

class OwnUpstreamsTest : public UpstreamPoolTest {
 protected:
  void TearDown() override {
    own_ = OwnUpstreams();
    UpstreamPoolTest::TearDown();
  }

  std::shared_ptr<const void> snapshot_ = std::make_shared<int>();
  OwnUpstreams own_;
};

TEST_F(OwnUpstreamsTest, WhatBelongsToAClientIsNeverPooled) {
  UpstreamPtr connection = connect("a");
  connection->belong_to_client();
  pool().put(std::move(connection));
  EXPECT_EQ(pool().idle_count(), 0u);
  EXPECT_EQ(pool().take("a", false), nullptr);
}

TEST_F(OwnUpstreamsTest, AreLentByKey) {
  UpstreamPtr one = connect("a"), two = connect("b");
  const UpstreamConnection* const kept = one.get();
  own_.keep(std::move(one), snapshot_);
  own_.keep(std::move(two), snapshot_);
  settle();
  EXPECT_EQ(own_.take("c", snapshot_), nullptr);
  const UpstreamPtr taken = own_.take("a", snapshot_);
  EXPECT_EQ(taken.get(), kept);
  EXPECT_TRUE(taken->reused);
  EXPECT_EQ(own_.take("a", snapshot_), nullptr);
  EXPECT_EQ(own_.size(), 1u);
}

TEST_F(OwnUpstreamsTest, WhatEndedIsNotLent) {
  int peer = -1;
  own_.keep(connect("a", &peer), snapshot_);
  ::shutdown(peer, SHUT_WR);
  EXPECT_EQ(own_.take("a", snapshot_), nullptr) << "the kernel is asked, no loop ran";
  EXPECT_EQ(own_.size(), 0u);
}

TEST_F(OwnUpstreamsTest, ANewConfigurationGetsNewConnections) {
  own_.keep(connect("a"), snapshot_);
  EXPECT_EQ(own_.take("a", std::make_shared<int>()), nullptr);
  EXPECT_EQ(own_.take("a", snapshot_), nullptr) << "and the old one is closed";
  own_.keep(connect("a"), std::make_shared<int>());
  EXPECT_EQ(own_.take("a", snapshot_), nullptr) << "not even when its own is gone";
}

TEST_F(OwnUpstreamsTest, AreFew) {
  for (int i = 0; i < 9; ++i) own_.keep(connect(std::to_string(i)), snapshot_);
  EXPECT_EQ(own_.size(), 8u);
  EXPECT_EQ(own_.take("0", snapshot_), nullptr);
  EXPECT_NE(own_.take("1", snapshot_), nullptr);
  EXPECT_NE(own_.take("8", snapshot_), nullptr);
}

}  // namespace
}  // namespace iron::proxy
