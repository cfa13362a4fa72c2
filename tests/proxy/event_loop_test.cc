#include "proxy/wait/event_loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "tests/proxy/wait_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

class EventLoopTest : public WaitTest {};

TEST_F(EventLoopTest, WakingNeverRunsTheSleeperBeforeItReturns) {
  Pause pause(loop_);
  spawn(sleep(pause, "one"));
  pause.wake();
  EXPECT_EQ(trail_, Trail{});
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
}

TEST_F(EventLoopTest, SleepersGoOnInTheOrderInWhichTheyWereWoken) {
  Pause one(loop_), two(loop_), three(loop_);
  spawn(sleep(one, "one"));
  spawn(sleep(two, "two"));
  spawn(sleep(three, "three"));
  loop_.post([&] {
    three.wake();
    one.wake();
    two.wake();
    one.wake();  // goes to the end, and goes on once
    trail_.emplace_back("handler ends");
  });
  settle();
  EXPECT_EQ(trail_, (Trail{"handler ends", "three woke", "two woke", "one woke"}));
}

TEST_F(EventLoopTest, AWakeBeforeTheSleepKeepsItFromHappening) {
  Pause pause(loop_);
  pause.wake();
  spawn(sleep(pause, "one"));
  EXPECT_EQ(trail_, Trail{"one woke"});
}

TEST_F(EventLoopTest, ASleeperThatIsWokenByAnotherGoesOnInTheSameTurn) {
  Pause one(loop_), two(loop_);
  spawn(sleep(two, "two"));
  spawn([](Pause& own, Pause& other, Trail& trail) -> Task<void> {
    co_await own;
    other.wake();
    trail.emplace_back("one goes on");
  }(one, two, trail_));
  loop_.post([&] { one.wake(); });
  EXPECT_TRUE(loop_.turn());
  EXPECT_EQ(trail_, (Trail{"one goes on", "two woke"}));
}

TEST_F(EventLoopTest, WhatEndsWhileItIsToGoOnIsForgotten) {
  auto one = std::make_unique<Pause>(loop_);
  Pause two(loop_);
  spawn(sleep(two, "two"));
  loop_.post([&] {
    one->wake();
    two.wake();
    one.reset();
  });
  settle();
  EXPECT_EQ(trail_, Trail{"two woke"});
}

struct DeadlineCase {
  std::chrono::milliseconds set, looked_at;
  bool expires;
};

TEST_F(EventLoopTest, ADeadlineExpiresWhenTheClockHasReachedIt) {
  const DeadlineCase cases[] = {
      {100ms, 50ms, false}, {100ms, 100ms, true}, {1ms, 9ms, false},  // within the grain
      {1ms, 10ms, true},    {1h, 59min, false},   {1h, 1h, true},    {0ms, 10ms, true},
  };
  for (const DeadlineCase& row : cases) {
    trail_.clear();
    Pause pause(loop_);
    pause.set_timeout(row.set);
    spawn(sleep(pause, "one"));
    advance(row.looked_at);
    EXPECT_EQ(trail_, row.expires ? Trail{"one expired"} : Trail{})
        << row.set.count() << " " << row.looked_at.count();
    if (!row.expires) {
      pause.wake();
      settle();
    }
  }
}

TEST_F(EventLoopTest, AClearedDeadlineDoesNotExpire) {
  Pause pause(loop_);
  pause.set_timeout(10ms);
  spawn(sleep(pause, "one"));
  pause.clear_deadline();
  advance(1h);
  EXPECT_EQ(trail_, Trail{});
  pause.wake();
  settle();
}

TEST_F(EventLoopTest, ADeadlineThatPassesWhileItsSleeperIsToGoOnIsSeenInTheNextSleep) {
  Pause pause(loop_), other(loop_);
  pause.set_timeout(20ms);
  spawn([](Pause& own, Trail& trail) -> Task<void> {
    while (!own.expired()) {
      co_await own;
      trail.emplace_back(own.expired() ? "expired" : "woke");
    }
  }(pause, trail_));
  other.set_timeout(10ms);  // so that a tick finds `pause` among the ready
  loop_.post([&] {
    clock_.advance(15ms);
    pause.wake();
  });
  settle();
  advance(5ms);
  advance(10ms);
  EXPECT_EQ(trail_, (Trail{"woke", "expired"}));
}

TEST_F(EventLoopTest, DeadlinesThatAreDueAtOnceDoNotPutOffThoseOfOthers) {
  Pause busy(loop_), other(loop_);
  other.set_timeout(20ms);
  spawn(sleep(other, "other"));
  for (int i = 0; i < 8; ++i) {
    busy.set_timeout(1ms);
    advance(5ms);
  }
  EXPECT_EQ(trail_, Trail{"other expired"});
  other.wake();
  settle();
}

struct BusyCase {
  const char* what;
  bool passes_turn, sets_deadline_again;
};

TEST_F(EventLoopTest, ADeadlineExpiresAlthoughItsSleeperIsReadyInEveryTurn) {
  const BusyCase cases[] = {
      {"something happens for it", false, false},
      {"it gives its turn away", true, false},
      {"it gives its turn away and sets the same deadline", true, true},
  };
  for (const BusyCase& row : cases) {
    SCOPED_TRACE(row.what);
    Pause pause(loop_);
    const SteadyTime deadline = loop_.now() + 20ms;
    pause.set_deadline(deadline);
    bool stop = false, ended = false;
    spawn([](Pause& own, SteadyTime when, const BusyCase& way, const bool& give_up,
             bool& done) -> Task<void> {
      while (!own.expired() && !give_up) {
        if (way.sets_deadline_again) own.set_deadline(when);
        if (way.passes_turn) {
          co_await own.pass_turn();
        } else {
          co_await own;
        }
      }
      done = own.expired();
    }(pause, deadline, row, stop, ended));
    for (int i = 0; i < 100 && !ended; ++i) {
      if (!row.passes_turn) pause.wake();
      clock_.advance(5ms);
      loop_.turn();
    }
    EXPECT_TRUE(ended);
    stop = true;
    pause.wake();
    settle();
  }
}

TEST_F(EventLoopTest, WhoGivesItsTurnAwayGoesOnBehindOneMoreLookAtTheOthers) {
  Pause one(loop_), two(loop_);
  spawn([](Pause& own, Trail& trail) -> Task<void> {
    co_await own.pass_turn();
    trail.emplace_back("one again");
  }(one, trail_));
  spawn(sleep(two, "two"));
  loop_.post([&] { two.wake(); });
  settle();
  EXPECT_EQ(trail_, (Trail{"two woke", "one again"}));
}

TEST_F(EventLoopTest, TheDrainWakesEveryoneAndEndsWhoYieldsToIt) {
  Pause yields(loop_), stays(loop_);
  yields.yield_to_drain(true);
  spawn(sleep(yields, "yields"));
  spawn(sleep(stays, "stays"));
  loop_.post([&] { loop_.begin_drain(); });
  settle();
  EXPECT_EQ(trail_, (Trail{"yields woke", "stays woke"}));
  EXPECT_TRUE(yields.given_up());
  EXPECT_FALSE(stays.given_up());
  loop_.post([&] { loop_.cut_all(); });
  settle();
  EXPECT_TRUE(stays.given_up());
}

TEST_F(EventLoopTest, ALongSleepIsToldOnce) {
  struct Listener final : LongSleep {
    void on_long_sleep() override { ++told; }
    int told = 0;
  } listener;
  Pause pause(loop_);
  pause.set_long_sleep(&listener);
  pause.set_timeout(1h);
  spawn(sleep(pause, "one"));
  for (int i = 0; i < 10; ++i) advance(250ms);
  EXPECT_EQ(listener.told, 1);
  pause.wake();
  settle();
  spawn(sleep(pause, "one"));
  for (int i = 0; i < 10; ++i) advance(250ms);
  EXPECT_EQ(listener.told, 2);
  pause.wake();
  settle();
}

TEST_F(EventLoopTest, AnAlarmRingsOnceAtItsTimeAndMayBeSetAgain) {
  int rung = 0;
  std::optional<Alarm> alarm;
  alarm.emplace(loop_, [&] {
    if (++rung < 3) alarm->set(loop_.now() + 5ms);
  });
  alarm->set(loop_.now() + 5ms);
  advance(4ms);
  EXPECT_EQ(rung, 0);
  advance(1ms);
  EXPECT_EQ(rung, 1);
  advance(5ms);
  advance(5ms);
  advance(1h);
  EXPECT_EQ(rung, 3);
  EXPECT_FALSE(alarm->is_set());
}

TEST_F(EventLoopTest, AnAlarmThatIsCancelledOrGoneDoesNotRing) {
  int rung = 0;
  Alarm cancelled(loop_, [&] { ++rung; });
  auto gone = std::make_unique<Alarm>(loop_, [&] { ++rung; });
  Alarm moved(loop_, [&] { ++rung; });
  cancelled.set(loop_.now() + 5ms);
  gone->set(loop_.now() + 5ms);
  moved.set(loop_.now() + 5ms);
  moved.set(loop_.now() + 10ms);
  cancelled.cancel();
  gone.reset();
  advance(5ms);
  EXPECT_EQ(rung, 0);
  advance(5ms);
  EXPECT_EQ(rung, 1);
}

TEST_F(EventLoopTest, AnAlarmMayTakeAnotherAlong) {
  std::optional<Alarm> first, second;
  int rung = 0;
  first.emplace(loop_, [&] {
    ++rung;
    second.reset();
  });
  second.emplace(loop_, [&] {
    ++rung;
    first.reset();
  });
  first->set(loop_.now() + 5ms);
  second->set(loop_.now() + 5ms);
  advance(5ms);
  advance(5ms);
  EXPECT_EQ(rung, 1);
}

TEST_F(EventLoopTest, AnAlarmThatThrowsLosesNoOtherAndNoDeadline) {
  Pause pause(loop_);
  pause.set_timeout(5ms);
  spawn(sleep(pause, "one"));
  Alarm throws(loop_, [] { throw std::bad_alloc(); });
  Alarm behind(loop_, [this] { trail_.emplace_back("behind"); });
  throws.set(loop_.now() + 5ms);
  behind.set(loop_.now() + 5ms);
  clock_.advance(10ms);
  EXPECT_THROW(loop_.turn(), std::bad_alloc);
  advance(1ms);
  EXPECT_EQ(trail_, (Trail{"behind", "one expired"}));
  pause.wake();
  settle();
}

TEST_F(EventLoopTest, WhatThrowsLosesNobodyItWokeAndNothingBehindIt) {
  Pause pause(loop_);
  spawn(sleep(pause, "one"));
  loop_.post([&] {
    pause.wake();
    throw std::bad_alloc();
  });
  loop_.post([&] { trail_.emplace_back("second"); });
  EXPECT_THROW(loop_.turn(), std::bad_alloc);
  EXPECT_EQ(trail_, Trail{"one woke"});
  settle();
  EXPECT_EQ(trail_, (Trail{"one woke", "second"}));
}

TEST_F(EventLoopTest, RunReportsWhatIsThrownAndGoesOn) {
  int reported = 0;
  loop_.post([] { throw std::bad_alloc(); });
  loop_.post([this] { loop_.stop(); });
  loop_.run([&] { ++reported; });
  EXPECT_EQ(reported, 1);
}

TEST_F(EventLoopTest, TheEndOfATurnComesBehindAllWhoWereWoken) {
  struct End final : TurnEnd {
    explicit End(Trail& trail_in) : trail(trail_in) {}
    void on_turn_end() override { trail.emplace_back("end"); }
    Trail& trail;
  } end(trail_);
  Pause one(loop_), two(loop_);
  spawn([](Pause& own, Pause& other, EventLoop& loop, TurnEnd& told, Trail& trail) -> Task<void> {
    co_await own;
    loop.at_turn_end(told);
    loop.at_turn_end(told);
    other.wake();
    trail.emplace_back("one");
  }(one, two, loop_, end, trail_));
  spawn(sleep(two, "two"));
  one.wake();
  settle();
  EXPECT_EQ(trail_, (Trail{"one", "two woke", "end"}));
}

}  // namespace
}  // namespace iron::proxy
