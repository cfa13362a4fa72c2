#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/wait/event_loop.h"
#include "proxy/wait/later.h"
#include "proxy/wait/watch.h"
#include "tests/proxy/manual_clock.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

/// What happened, in its order.
using Trail = std::vector<std::string>;

class WaitTest : public testing::Test {
 protected:
  void spawn(Task<void> task) {
    start(std::move(task), [this](std::exception_ptr) { trail_.emplace_back("failed"); });
  }
  /// Turns the loop until nothing is ready.
  void settle() {
    while (loop_.turn()) {
    }
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  Task<void> sleep(Pause& pause, std::string name) {
    co_await pause;
    trail_.push_back(name + (pause.expired() ? " expired" : " woke"));
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  Trail trail_;
};

TEST_F(WaitTest, WakingNeverRunsTheSleeperBeforeItReturns) {
  Pause pause(loop_);
  spawn(sleep(pause, "one"));
  pause.wake();
  EXPECT_EQ(trail_, Trail{});
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
}

TEST_F(WaitTest, SleepersGoOnInTheOrderInWhichTheyWereWoken) {
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

TEST_F(WaitTest, AWakeBeforeTheSleepKeepsItFromHappening) {
  Pause pause(loop_);
  pause.wake();
  spawn(sleep(pause, "one"));
  EXPECT_EQ(trail_, Trail{"one woke"});
}

TEST_F(WaitTest, ASleeperThatIsWokenByAnotherGoesOnInTheSameTurn) {
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

TEST_F(WaitTest, WhatEndsWhileItIsToGoOnIsForgotten) {
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

TEST_F(WaitTest, ADeadlineExpiresWhenTheClockHasReachedIt) {
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

TEST_F(WaitTest, AClearedDeadlineDoesNotExpire) {
  Pause pause(loop_);
  pause.set_timeout(10ms);
  spawn(sleep(pause, "one"));
  pause.clear_deadline();
  advance(1h);
  EXPECT_EQ(trail_, Trail{});
  pause.wake();
  settle();
}

TEST_F(WaitTest, ADeadlineThatPassesWhileItsSleeperIsToGoOnIsSeenInTheNextSleep) {
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

TEST_F(WaitTest, DeadlinesThatAreDueAtOnceDoNotPutOffThoseOfOthers) {
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

TEST_F(WaitTest, ADeadlineExpiresAlthoughItsSleeperIsReadyInEveryTurn) {
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

TEST_F(WaitTest, WhoGivesItsTurnAwayGoesOnBehindOneMoreLookAtTheOthers) {
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

TEST_F(WaitTest, TheDrainWakesEveryoneAndEndsWhoYieldsToIt) {
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

TEST_F(WaitTest, ALongSleepIsToldOnce) {
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

TEST_F(WaitTest, AnAlarmRingsOnceAtItsTimeAndMayBeSetAgain) {
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

TEST_F(WaitTest, AnAlarmThatIsCancelledOrGoneDoesNotRing) {
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

TEST_F(WaitTest, AnAlarmMayTakeAnotherAlong) {
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

TEST_F(WaitTest, AnAlarmThatThrowsLosesNoOtherAndNoDeadline) {
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

TEST_F(WaitTest, WhatThrowsLosesNobodyItWokeAndNothingBehindIt) {
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

TEST_F(WaitTest, RunReportsWhatIsThrownAndGoesOn) {
  int reported = 0;
  loop_.post([] { throw std::bad_alloc(); });
  loop_.post([this] { loop_.stop(); });
  loop_.run([&] { ++reported; });
  EXPECT_EQ(reported, 1);
}

TEST_F(WaitTest, TheEndOfATurnComesBehindAllWhoWereWoken) {
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

struct Note final : Message {
  explicit Note(Trail& trail_in) : trail(trail_in) {}
  void deliver() override { trail.emplace_back("note"); }
  Trail& trail;
};

TEST_F(WaitTest, AMessageIsDeliveredOnceForAllThatSendItAndMayBeSentAgain) {
  Note note(trail_);
  loop_.mailbox().send(note);
  loop_.mailbox().send(note);
  settle();
  EXPECT_EQ(trail_, Trail{"note"});
  loop_.mailbox().send(note);
  settle();
  EXPECT_EQ(trail_, (Trail{"note", "note"}));
}

TEST_F(WaitTest, AMessageThatIsWithdrawnIsNotDelivered) {
  Note one(trail_), two(trail_), three(trail_);
  Mailbox& mailbox = loop_.mailbox();
  for (Note* gone : {&one, &two, &three}) {
    trail_.clear();
    for (Note* sent : {&one, &two, &three}) mailbox.send(*sent);
    mailbox.withdraw(*gone);
    mailbox.withdraw(*gone);
    loop_.post([this] { trail_.emplace_back("behind"); });
    settle();
    EXPECT_EQ(trail_, (Trail{"note", "note", "behind"}));
  }
}

TEST_F(WaitTest, ManyThreadsPostAndNothingIsLost) {
  constexpr int kThreads = 4, kEach = 1000;
  int done = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, &done] {
      for (int each = 0; each < kEach; ++each) loop_.post([&done] { ++done; });
    });
  }
  while (done < kThreads * kEach) loop_.turn(10s);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, kThreads * kEach);
}

TEST_F(WaitTest, ALaterResultOfAnotherThreadArrivesOnTheLoop) {
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

TEST_F(WaitTest, OfSeveralResultsTheLastThatWasNotTakenCounts) {
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

TEST_F(WaitTest, AResultForNobodyGoesNowhere) {
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

TEST_F(WaitTest, WhoGivesUpGetsNothing) {
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

class WatchTest : public WaitTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_), 0);
  }
  void TearDown() override {
    for (const int end : ends_) ::close(end);
  }
  int ends_[2] = {-1, -1};
};

TEST_F(WatchTest, WakesWhoArmedItAndNobodyElse) {
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  watch.arm_read();
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{});
  EXPECT_FALSE(watch.readable());
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
  EXPECT_TRUE(watch.readable());
}

TEST_F(WatchTest, AListenerTellsEachTimeOfWhatIsThere) {
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  Watch watch(loop_, ends_[0], Watch::Kind::listener);
  Pause pause(loop_);
  watch.set_pause(&pause);
  for (int round = 0; round < 3; ++round) {  // nobody takes it
    trail_.clear();
    watch.arm_read();
    spawn(sleep(pause, "one"));
    settle();
    EXPECT_EQ(trail_, Trail{"one woke"}) << round;
    watch.clear_readable();
  }
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"}) << "nobody armed it";
}

TEST_F(WatchTest, WhatAStreamAnnouncedIsRememberedUntilItWasRead) {
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  settle();
  EXPECT_EQ(trail_, Trail{}) << "nobody armed it";
  EXPECT_TRUE(watch.readable());
  for (int round = 0; round < 3; ++round) {  // nobody reads
    trail_.clear();
    watch.arm_read();
    spawn(sleep(pause, "one"));
    settle();
    EXPECT_EQ(trail_, Trail{"one woke"}) << round;
  }
  char byte;
  ASSERT_EQ(::read(ends_[0], &byte, 1), 1);
  watch.clear_readable();
  trail_.clear();
  watch.arm_read();
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{});
  ASSERT_EQ(::write(ends_[1], "y", 1), 1);
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
}

TEST_F(WatchTest, AnEndStaysReadable) {
  Watch watch(loop_, ends_[0]);
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  ::shutdown(ends_[1], SHUT_WR);
  settle();
  char byte;
  ASSERT_EQ(::read(ends_[0], &byte, 1), 1);
  watch.clear_readable();
  EXPECT_TRUE(watch.readable()) << "it is not announced again";
}

TEST_F(WatchTest, TellsOfAnEnd) {
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  watch.arm_read();
  spawn(sleep(pause, "one"));
  ::shutdown(ends_[1], SHUT_WR);
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
  EXPECT_TRUE(watch.readable());
}

TEST_F(WatchTest, TellsOfRoomToWrite) {
  const std::string block(65536, 'x');
  while (::write(ends_[0], block.data(), block.size()) > 0) {
  }
  Watch watch(loop_, ends_[0]);
  Pause pause(loop_);
  watch.set_pause(&pause);
  watch.arm_write();
  spawn(sleep(pause, "one"));
  settle();
  EXPECT_EQ(trail_, Trail{});
  std::string taken(block.size() * 16, 'x');
  while (::read(ends_[1], taken.data(), taken.size()) > 0) {
  }
  settle();
  EXPECT_EQ(trail_, Trail{"one woke"});
  EXPECT_TRUE(watch.writable());
}

TEST_F(WatchTest, ItsEndIsHarmlessWhileAnEventIsOnItsWay) {
  Pause pause(loop_);
  auto watch = std::make_unique<Watch>(loop_, ends_[0]);
  watch->set_pause(&pause);
  watch->arm_read();
  ASSERT_EQ(::write(ends_[1], "x", 1), 1);
  spawn(sleep(pause, "one"));
  watch.reset();
  settle();
  EXPECT_EQ(trail_, Trail{});
  pause.wake();
  settle();
}

}  // namespace
}  // namespace iron::proxy
