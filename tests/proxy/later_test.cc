#include "proxy/wait/later.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "tests/proxy/wait_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class LaterTest : public WaitTest {};

TEST_F(LaterTest, ALaterResultOfAnotherThreadArrivesOnTheLoop) {
  Pause pause(loop_);
  Later<int> later(pause);
  std::optional<int> got;
  spawn([](Later<int>& awaited, Pause& own, std::optional<int>& result) -> Task<void> {
    const auto never = [] { return false; };
    result = co_await await(awaited, own, never);
  }(later, pause, got));
  std::thread([promise = later.promise()] { promise(7); }).join();
  EXPECT_EQ(got, std::nullopt);
  settle();
  EXPECT_EQ(got, 7);
}

TEST_F(LaterTest, OfSeveralResultsTheLastThatWasNotTakenCounts) {
  Pause pause(loop_);
  Later<int> later(pause);
  auto tell = later.teller();
  tell(1);
  tell(2);
  EXPECT_EQ(later.take(), 2);
  EXPECT_EQ(later.take(), std::nullopt);
  tell(3);
  EXPECT_TRUE(later.here());
}

TEST_F(LaterTest, AResultForNobodyGoesNowhere) {
  Pause pause(loop_);
  auto later = std::make_unique<Later<std::string>>(pause);
  auto tell = later->teller();
  auto promise = later->promise();
  promise("posted before the end");
  later.reset();
  tell("told behind the end");
  promise("posted behind the end");
  settle();
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{}) << "nobody was woken";
  pause.wake();
  settle();
}

TEST_F(LaterTest, WhoGivesUpGetsNothing) {
  Pause pause(loop_);
  Later<int> later(pause);
  bool given_up = false;
  std::optional<std::optional<int>> got;
  spawn([](Later<int>& awaited, Pause& own, const bool& up,
           std::optional<std::optional<int>>& result) -> Task<void> {
    const auto given_up = [&up] { return up; };
    result = co_await await(awaited, own, given_up);
  }(later, pause, given_up, got));
  pause.wake();  // for something else
  settle();
  EXPECT_FALSE(got.has_value());
  given_up = true;
  pause.wake();
  settle();
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(*got, std::nullopt);
}

}  // namespace
}  // namespace iron::proxy
