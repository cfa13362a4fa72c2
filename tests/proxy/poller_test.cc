#include "proxy/wait/poller.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <new>
#include <system_error>
#include <vector>

#include "tests/proxy/no_descriptors.h"
#include "tests/proxy/socket_ends.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

/// What a descriptor was told of.
struct Told final : Readiness {
  void ready(std::uint32_t events) override { all.push_back(events); }
  std::vector<std::uint32_t> take() { return std::exchange(all, {}); }
  std::vector<std::uint32_t> all;
};
using Events = std::vector<std::uint32_t>;

class PollerTest : public testing::Test {
 protected:
  void TearDown() override {
    if (!closed_) ::close(descriptor_);
  }

  SocketEnds ends_;
  /// The end that is looked at; the test holds the other one.
  const int descriptor_ = ends_.give_away();
  Poller poller_;
  Told told_, other_;
  bool closed_ = false;
};

TEST_F(PollerTest, TellsWhatHappenedToWhomItConcerns) {
  SocketEnds further;
  const int second = further.give_away();
  poller_.add(descriptor_, EPOLLIN | EPOLLRDHUP, told_);
  poller_.add(second, EPOLLIN | EPOLLOUT, other_);
  EXPECT_TRUE(poller_.wait(0ns));
  EXPECT_EQ(told_.take(), Events());
  EXPECT_EQ(other_.take(), Events{EPOLLOUT});
  ends_.send("a");
  ends_.end_sending();
  EXPECT_TRUE(poller_.wait(0ns));
  EXPECT_EQ(told_.take(), Events{EPOLLIN | EPOLLRDHUP});
  ::close(second);
}

TEST_F(PollerTest, SaysWhenNothingHappened) {
  poller_.add(descriptor_, EPOLLIN, told_);
  EXPECT_FALSE(poller_.wait(0ns));
  EXPECT_EQ(told_.take(), Events());
}

TEST_F(PollerTest, AnEdgeIsToldOnceAndALevelAsLongAsItLasts) {
  SocketEnds further;
  const int second = further.give_away();
  poller_.add(descriptor_, EPOLLIN | EPOLLET, told_);
  poller_.add(second, EPOLLIN, other_);
  for (int arrival = 0; arrival < 2; ++arrival) {
    ends_.send("a");
    further.send("a");
    for (int look = 0; look < 3; ++look) EXPECT_TRUE(poller_.wait(0ns));
    EXPECT_EQ(told_.take(), Events{EPOLLIN}) << "although nothing was read";
    EXPECT_EQ(other_.take(), Events(3, EPOLLIN));
  }
  ::close(second);
}

TEST_F(PollerTest, AnInterestIsChangedInItsPlace) {
  poller_.add(descriptor_, EPOLLIN | EPOLLET, told_);
  EXPECT_FALSE(poller_.wait(0ns));
  poller_.modify(descriptor_, EPOLLOUT | EPOLLET, other_);
  EXPECT_TRUE(poller_.wait(0ns));
  EXPECT_EQ(told_.take(), Events());
  EXPECT_EQ(other_.take(), Events{EPOLLOUT}) << "what is there already is an edge of the change";
  EXPECT_FALSE(poller_.wait(0ns));
}

TEST_F(PollerTest, OneShotIsToldOnceForEachChange) {
  poller_.add(descriptor_, EPOLLONESHOT, told_);
  ends_.send("a");
  EXPECT_FALSE(poller_.wait(0ns)) << "nothing is asked yet";
  for (int round = 0; round < 2; ++round) {
    poller_.modify(descriptor_, EPOLLIN | EPOLLONESHOT, told_);
    EXPECT_TRUE(poller_.wait(0ns));
    EXPECT_FALSE(poller_.wait(0ns));
    EXPECT_EQ(told_.take(), Events{EPOLLIN});
  }
}

TEST_F(PollerTest, WhatWasRemovedOrClosedIsNotToldOf) {
  const struct {
    const char* name;
    bool closes;
  } rows[] = {{"removed", false}, {"closed", true}};
  for (const auto& row : rows) {
    SocketEnds ends;
    const int descriptor = ends.give_away();
    poller_.add(descriptor, EPOLLIN, told_);
    ends.send("a");
    if (row.closes) {
      ::close(descriptor);
    } else {
      poller_.remove(descriptor);
    }
    EXPECT_FALSE(poller_.wait(0ns)) << row.name;
    // Both are harmless behind that.
    poller_.modify(descriptor, EPOLLIN, told_);
    poller_.remove(descriptor);
    EXPECT_FALSE(poller_.wait(0ns)) << row.name;
    if (!row.closes) ::close(descriptor);
  }
  EXPECT_EQ(told_.take(), Events());
}

TEST_F(PollerTest, TheNumberOfAClosedDescriptorIsFreeForTheNext) {
  poller_.add(descriptor_, EPOLLIN, told_);
  ::close(descriptor_);
  closed_ = true;
  SocketEnds further;
  const int next = further.give_away();
  ASSERT_EQ(next, descriptor_);
  poller_.add(next, EPOLLIN, other_);
  further.send("a");
  EXPECT_TRUE(poller_.wait(0ns));
  EXPECT_EQ(told_.take(), Events());
  EXPECT_EQ(other_.take(), Events{EPOLLIN});
  ::close(next);
}

TEST_F(PollerTest, ThoseForWhomOneLookHasNoRoomAreToldAtTheNext) {
  constexpr std::size_t kMany = 300;
  std::deque<SocketEnds> ends(kMany);
  std::deque<Told> told(kMany);
  std::vector<int> descriptors;
  for (std::size_t i = 0; i < kMany; ++i) {
    descriptors.push_back(ends[i].give_away());
    poller_.add(descriptors.back(), EPOLLIN | EPOLLET, told[i]);
    ends[i].send("a");
  }
  while (poller_.wait(0ns)) {
  }
  for (std::size_t i = 0; i < kMany; ++i) EXPECT_EQ(told[i].take(), Events{EPOLLIN}) << i;
  for (const int descriptor : descriptors) ::close(descriptor);
}

TEST_F(PollerTest, WaitsNeverLessThanItsLimit) {
  for (const auto limit : {1ns, 999'999ns, 1'000'001ns, 2'500'000ns}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(poller_.wait(limit));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, limit);
  }
}

TEST_F(PollerTest, ALongWaitEndsWithWhatHappens) {
  poller_.add(descriptor_, EPOLLIN | EPOLLET, told_);
  for (const std::chrono::nanoseconds limit : {-1ns, std::chrono::nanoseconds::max()}) {
    ends_.send("a");
    EXPECT_TRUE(poller_.wait(limit));
    EXPECT_EQ(told_.take(), Events{EPOLLIN});
  }
}

TEST_F(PollerTest, SaysThatThereIsNoPlace) {
  poller_.add(descriptor_, EPOLLIN, told_);
  EXPECT_THROW(poller_.add(descriptor_, EPOLLIN, told_), std::bad_alloc);
  EXPECT_THROW(poller_.add(-1, EPOLLIN, told_), std::bad_alloc);
  const NoDescriptors none;
  EXPECT_THROW(Poller(), std::system_error);
}

}  // namespace
}  // namespace iron::proxy
