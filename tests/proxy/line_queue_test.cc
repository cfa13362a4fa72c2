#include "proxy/log/line_queue.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/proxy/scripted_sink.h"

namespace iron::proxy {
namespace {

using News = LineQueue::News;
using Script = ScriptedSink::Script;
using std::chrono::milliseconds;

struct Waiter : LogWaiter {
  void on_progress() noexcept override { ++told; }
  int told = 0;
};

/// A queue in front of two scripted sinks, and a worker that has no thread.
struct Rig {
  explicit Rig(std::size_t bytes = 10'000, bool drop = false)
      : queue({.bytes = bytes, .drop_when_full = drop},
              std::make_unique<ScriptedSink>(err, 2),
              full) {
    queue.attach(waiter);
  }
  ~Rig() { queue.detach(waiter); }

  void audit_to(const std::shared_ptr<Script>& script, int descriptor = 3) {
    queue.redirect_requests(std::make_unique<ScriptedSink>(script, descriptor));
  }
  void settle(LineQueue::Turn& turn, std::string lines = {}) {
    while (turn.mine()) {
      LineSender::Progress progress = turn.write(lines);
      queue.settle(turn, progress, now);
    }
  }
  /// All that a worker does with its lines.
  LineQueue::Place record(std::string lines) {
    LineQueue::Turn turn = queue.begin(lines, &waiter);
    settle(turn, std::move(lines));
    return turn.place();
  }
  /// All that the log's thread does for a lane.
  bool drain(std::size_t lane = 0, LineQueue::Report report = {}) {
    std::vector<LineQueue::LanePtr> lanes;
    queue.lanes(lanes);
    LineQueue::Turn turn = queue.begin_rest(lanes.at(lane), now, std::move(report));
    if (!turn.mine()) return false;
    settle(turn);
    return true;
  }
  std::size_t lanes() const {
    std::vector<LineQueue::LanePtr> lanes;
    queue.lanes(lanes);
    return lanes.size();
  }

  std::shared_ptr<Script> err = std::make_shared<Script>(), audit = std::make_shared<Script>();
  std::atomic<bool> full{false};
  LineQueue queue;
  Waiter waiter;
  LineQueue::Clock::time_point now{std::chrono::hours(1)};
};

void stall(Script& script) { script.room = 0; }
void fail(Script& script) { script = {.room = 0, .error = EPIPE, .taken = script.taken}; }
void work(Script& script) { script.room = ScriptedSink::kAll; }

TEST(LineQueue, GivesTheTurnToAWorkerThatCanWriteNow) {
  struct Case {
    const char* lane;
    std::function<void(Rig&)> become;
    std::string lines;
    bool mine;
    std::string taken;  ///< at the end
    bool waits;
  };
  LineQueue::Turn other;
  const Case cases[] = {
      {"empty", [](Rig&) {}, "new\n", true, "new\n", false},
      {"empty, and so are the lines", [](Rig&) {}, "", false, "", false},
      {"holds operational lines", [](Rig& rig) { rig.queue.append("old\n"); }, "new\n", true,
       "old\nnew\n", false},
      {"holds the worker's own",
       [](Rig& rig) {
         std::string before = "mine\n";
         rig.queue.append("old\n", &before);
         EXPECT_EQ(before, "");
       },
       "", true, "mine\nold\n", false},
      {"another has the turn",
       [&other](Rig& rig) {
         std::string lines = "other\n";
         other = rig.queue.begin(lines, nullptr);
       },
       "new\n", false, "", true},
      {"its reader does not read now", [](Rig& rig) { stall(*rig.err); }, "new\n", true, "", true},
      {"its reader did not read",
       [](Rig& rig) {
         stall(*rig.err);
         rig.record("old\n");
         work(*rig.err);
       },
       "new\n", false, "", true},
      {"stalled",
       [](Rig& rig) {
         stall(*rig.err);
         EXPECT_TRUE(rig.queue.give_up(rig.record("old\n"), false));
       },
       "new\n", false, "", false},
      {"its reader goes away now", [](Rig& rig) { fail(*rig.err); }, "new\n", true, "", false},
      {"its reader is gone",
       [](Rig& rig) {
         fail(*rig.err);
         rig.record("old\n");
         work(*rig.err);
       },
       "new\n", false, "", false},
      {"a write to it may wait",
       [](Rig& rig) {
         rig.err->never_waits = false;
         rig.record("old\n");
       },
       "new\n", false, "old\n", true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.lane);
    Rig rig;
    c.become(rig);
    std::string lines = c.lines;
    LineQueue::Turn turn = rig.queue.begin(lines, &rig.waiter);
    EXPECT_EQ(turn.mine(), c.mine);
    if (!turn.mine()) {
      EXPECT_EQ(lines, "");  // they are in the queue
    }
    rig.settle(turn, lines);
    EXPECT_EQ(rig.err->taken, c.taken);
    EXPECT_EQ(turn.place().empty(), !c.waits);
  }
}

TEST(LineQueue, AWorkerWritesWhatOthersLeftMeanwhile) {
  Rig rig;
  std::string first = "first\n";
  LineQueue::Turn turn = rig.queue.begin(first, &rig.waiter);
  const LineQueue::Place place = rig.record("second\n");
  EXPECT_FALSE(place.empty());
  EXPECT_FALSE(rig.queue.left(place, rig.waiter));
  EXPECT_EQ(rig.waiter.told, 0);
  rig.settle(turn, first);
  EXPECT_EQ(rig.err->taken, "first\nsecond\n");
  EXPECT_TRUE(turn.place().empty());
  EXPECT_GE(rig.waiter.told, 1);
  EXPECT_TRUE(rig.queue.left(place, rig.waiter));
}

TEST(LineQueue, AWorkerDoesNotWriteForOthersWithoutEnd) {
  Rig rig(8 << 20);
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 3000; ++i) rig.queue.append(line);
  rig.queue.look(rig.now);
  EXPECT_FALSE(rig.record("mine\n").empty());
  EXPECT_GE(rig.err->taken.size(), 1u << 20);
  EXPECT_LE(rig.err->taken.size(), 1100u * 1024);
  EXPECT_EQ(rig.queue.news(), News::urgent);  // an answer waits for the rest
}

TEST(LineQueue, WhatAReaderDoesNotTakeIsHeld) {
  Rig rig(100);
  rig.err->room = 10;
  rig.record(std::string(99, 'x') + "\n");
  EXPECT_FALSE(rig.full);
  rig.queue.append("0123456789\n");
  EXPECT_TRUE(rig.full);
  rig.queue.look(rig.now);
  rig.err->room = 26;
  EXPECT_TRUE(rig.drain());
  EXPECT_FALSE(rig.full);                   // 75 are left
  EXPECT_EQ(rig.queue.news(), News::none);  // the log's thread knows what it did itself
}

TEST(LineQueue, WaitsForAReaderNoLongerThanItsPatience) {
  struct Case {
    const char* what;
    std::function<void(Rig&)> meanwhile;
    bool in_any_case;
    bool given_up;    ///< what give_up() says
    bool waited_for;  ///< the place is, behind it
    std::string taken;
  };
  LineQueue::Turn other;
  const auto busy = [&other](Rig& rig) {
    std::vector<LineQueue::LanePtr> lanes;
    rig.queue.lanes(lanes);
    other = rig.queue.begin_rest(lanes.front(), rig.now, {});
    EXPECT_TRUE(other.mine());
  };
  const Case cases[] = {
      {"it still does not read", [](Rig&) {}, false, true, false, ""},
      {"it reads again", [](Rig& rig) { work(*rig.err); }, false, true, false, "line\n"},
      {"it has read a part", [](Rig& rig) { rig.err->room = 2; }, false, true, false, "li"},
      {"it is gone", [](Rig& rig) { fail(*rig.err); }, false, true, false, ""},
      {"another writes to it", busy, false, false, true, ""},
      {"another writes to it for a second", busy, true, true, false, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Rig rig;
    stall(*rig.err);
    const LineQueue::Place place = rig.record("line\n");
    ASSERT_FALSE(place.empty());
    c.meanwhile(rig);
    LineQueue::Turn turn = rig.queue.last_attempt(place);
    rig.settle(turn);
    EXPECT_EQ(rig.queue.give_up(place, c.in_any_case), c.given_up);
    EXPECT_EQ(rig.queue.left(place, rig.waiter), !c.waited_for);
    EXPECT_EQ(rig.err->taken, c.taken);
  }
}

TEST(LineQueue, NobodyWaitsForAStalledReaderUntilItHasCaughtUp) {
  Rig rig;
  stall(*rig.err);
  EXPECT_TRUE(rig.queue.give_up(rig.record("one\n"), false));
  EXPECT_TRUE(rig.record("two\n").empty());
  rig.err->room = 4;
  EXPECT_TRUE(rig.drain());
  EXPECT_TRUE(rig.record("three\n").empty());
  work(*rig.err);
  EXPECT_TRUE(rig.drain());
  EXPECT_EQ(rig.err->taken, "one\ntwo\nthree\n");
  stall(*rig.err);
  EXPECT_FALSE(rig.record("four\n").empty());
}

TEST(LineQueue, WakesTheThreadForWhatItSleepsFor) {
  struct Case {
    const char* what;
    std::function<void(Rig&)> happens;
    News news;
  };
  const Case cases[] = {
      {"an operational line", [](Rig& rig) { rig.queue.append("line\n"); }, News::lines},
      {"so many that no batch is waited for",
       [](Rig& rig) { rig.queue.append(std::string(6000, 'x') + "\n"); }, News::urgent},
      {"a record that was written", [](Rig& rig) { rig.record("line\n"); }, News::none},
      {"one that an answer waits for",
       [](Rig& rig) {
         stall(*rig.err);
         rig.record("line\n");
       },
       News::urgent},
      {"one whose reader is gone",
       [](Rig& rig) {
         fail(*rig.err);
         rig.record("line\n");
       },
       News::lines},  // there is something to report
      {"the end", [](Rig& rig) { rig.queue.stop(rig.now); }, News::urgent},
      {"somebody waits until all left",
       [](Rig& rig) { EXPECT_TRUE(rig.queue.flush(milliseconds(0))); }, News::urgent},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Rig rig;
    rig.queue.look(rig.now);
    c.happens(rig);
    EXPECT_EQ(rig.queue.news(), c.news);
    rig.queue.look(rig.now);
    EXPECT_EQ(rig.queue.news(), News::none);
  }
}

TEST(LineQueue, CountsWhatItLosesUntilThatIsReported) {
  Rig rig(20, true);
  rig.queue.append("0123456789\n");
  rig.queue.append("0123456789\n");  // no room
  rig.queue.append("0123456789\n");
  EXPECT_EQ(rig.queue.to_report(rig.now), 0u);  // more are being lost
  EXPECT_TRUE(rig.drain());
  EXPECT_EQ(rig.queue.to_report(rig.now), 2u);
  stall(*rig.err);
  EXPECT_TRUE(rig.drain(0, {2, "two\n"}));
  EXPECT_EQ(rig.queue.to_report(rig.now), 0u);  // it is on its way
  fail(*rig.err);
  EXPECT_TRUE(rig.drain());
  work(*rig.err);
  rig.now += milliseconds(10);
  EXPECT_EQ(rig.queue.to_report(rig.now), 2u);  // it went the same way
  EXPECT_TRUE(rig.drain(0, {2, "two\n"}));
  EXPECT_EQ(rig.queue.to_report(rig.now), 0u);
  EXPECT_EQ(rig.err->taken, "0123456789\ntwo\n");
}

TEST(LineQueue, WhatFailsIsTriedAgainLessAndLessOften) {
  Rig rig;
  fail(*rig.err);
  for (const int pause : {10, 20, 40, 80, 160, 320, 640, 1000, 1000}) {
    rig.queue.append("line\n");
    EXPECT_TRUE(rig.drain());
    EXPECT_EQ(rig.queue.look(rig.now).retry_at, rig.now + milliseconds(pause));
    rig.now += milliseconds(pause - 1);
    rig.queue.append("line\n");
    EXPECT_FALSE(rig.queue.look(rig.now).due);
    EXPECT_FALSE(rig.drain());
    rig.now += milliseconds(1);
    EXPECT_TRUE(rig.queue.look(rig.now).due);
  }
  work(*rig.err);
  EXPECT_TRUE(rig.drain());
  fail(*rig.err);
  rig.record("line\n");
  EXPECT_EQ(rig.queue.look(rig.now).retry_at, rig.now + milliseconds(10));
  rig.queue.stop(rig.now + milliseconds(1));
  EXPECT_TRUE(rig.queue.look(rig.now).urgent);  // at the end it is not a matter of time
}

TEST(LineQueue, RecordsThatWereAppendedGoToTheFileOfThen) {
  Rig rig;
  auto second = std::make_shared<Script>();
  rig.audit_to(rig.audit);
  stall(*rig.audit);
  rig.record("one\n");
  std::string before = "stays\n";
  rig.queue.append("operational\n", &before);
  EXPECT_EQ(before, "stays\n");  // it goes another way
  rig.audit_to(second, 4);
  EXPECT_EQ(rig.lanes(), 3u);
  rig.record("two\n");
  rig.queue.redirect_requests(nullptr);
  EXPECT_EQ(rig.lanes(), 2u);  // that of `second` is done
  rig.record("three\n");
  work(*rig.audit);
  EXPECT_TRUE(rig.drain(1));
  EXPECT_EQ(rig.lanes(), 1u);
  EXPECT_EQ(rig.audit->taken, "one\n");
  EXPECT_EQ(second->taken, "two\n");
  EXPECT_EQ(rig.err->taken, "operational\nthree\n");
}

struct Generation {
  explicit Generation(const std::string& key) : secret(Secret::copy_of(key)) {
    const std::vector<const Secret*> keys{&secret};
    net = std::make_shared<const transforms::KeyNet>(keys);
  }
  Secret secret;
  std::shared_ptr<const transforms::KeyNet> net;
};

TEST(LineQueue, MasksTheKeysOfEachConfigurationThatIsInUse) {
  Rig rig;
  std::vector<std::string> keys;
  for (int i = 0; i < 4; ++i) keys.push_back("sk-real-012345678" + std::to_string(i));
  const std::string stars(keys[0].size(), '*');
  const auto masked = [&](const std::string& key) {
    rig.err->taken.clear();
    rig.record(key + "\n");
    return rig.err->taken == stars + "\n";
  };
  Generation held(keys[0]);  // as a request of that configuration does
  rig.queue.guard(held.net);
  for (int i = 1; i < 4; ++i) rig.queue.guard(Generation(keys[static_cast<std::size_t>(i)]).net);
  EXPECT_TRUE(masked(keys[0]));
  EXPECT_FALSE(masked(keys[1]));
  EXPECT_TRUE(masked(keys[2]));  // the one before
  EXPECT_TRUE(masked(keys[3]));
  held.net.reset();
  rig.queue.append(keys[2] + "\n");
  rig.queue.guard(Generation("sk-real-another-one").net);
  rig.queue.guard(Generation("sk-real-the-last-one").net);
  rig.err->taken.clear();
  EXPECT_TRUE(rig.drain());
  EXPECT_EQ(rig.err->taken, stars + "\n");  // it was pending since
  rig.queue.guard(Generation("sk-real-the-very-last").net);
  for (const std::string& key : keys) EXPECT_FALSE(masked(key)) << key;
}

}  // namespace
}  // namespace iron::proxy
