#include "proxy/log/log_drain.h"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <string>
#include <vector>

#include "tests/proxy/scripted_sink.h"

namespace iron::proxy {
namespace {

using News = LineQueue::News;
using Script = ScriptedSink::Script;
using std::chrono::milliseconds;

constexpr int kErr = 2, kAudit = 3;
constexpr std::size_t kBytes = 1000;

/// An answer that waits for its record.
struct Waiter : LogWaiter {
  void on_progress() noexcept override {}
};

/// The log without its thread and without a clock: steps are taken when the test says so.
struct Rig {
  explicit Rig(bool drop, std::size_t bytes = kBytes)
      : queue({.bytes = bytes, .drop_when_full = drop},
              std::make_unique<ScriptedSink>(err, kErr),
              full),
        drain(queue, [this](std::uint64_t count) { return render(count); }) {
    queue.attach(waiter);
  }

  std::string render(std::uint64_t count) {
    if (no_memory) throw std::bad_alloc();
    return silent ? std::string() : "lost " + std::to_string(count) + "\n";
  }
  void step() { last = drain.step(now, std::exchange(reader_took, false)); }

  std::shared_ptr<Script> err = std::make_shared<Script>(), audit = std::make_shared<Script>();
  std::atomic<bool> full{false};
  LineQueue queue;
  LogDrain drain;
  LineQueue::Clock::time_point now{std::chrono::hours(1)};
  LogDrain::Step last;
  bool reader_took = false, no_memory = false, silent = false;
  Waiter waiter;
};

using Event = std::function<void(Rig&)>;

/// An operational line.
Event line(std::string text) {
  return [text](Rig& rig) { rig.queue.append(text + "\n"); };
}
/// What a worker does with a record, for which an answer waits.
Event record(std::string text) {
  return [text](Rig& rig) {
    std::string lines = text + "\n";
    LineQueue::Turn turn = rig.queue.begin(lines, &rig.waiter);
    while (turn.mine()) {
      LineSender::Progress progress = turn.write(lines);
      rig.queue.settle(turn, progress, rig.now);
    }
  };
}
Event after(int time) {
  return [time](Rig& rig) {
    rig.now += milliseconds(time);
    rig.step();
  };
}
Event becomes(std::shared_ptr<Script> Rig::* sink, std::size_t room, int error) {
  return [=](Rig& rig) {
    (rig.*sink)->room = room;
    (rig.*sink)->error = error;
  };
}
Event stalls(std::shared_ptr<Script> Rig::* sink) { return becomes(sink, 0, EAGAIN); }
Event fails(std::shared_ptr<Script> Rig::* sink) { return becomes(sink, 0, ENOSPC); }
Event works(std::shared_ptr<Script> Rig::* sink) { return becomes(sink, ScriptedSink::kAll, 0); }
Event room(std::shared_ptr<Script> Rig::* sink, std::size_t bytes) {
  return becomes(sink, bytes, EAGAIN);
}
const auto kErrSink = &Rig::err, kAuditSink = &Rig::audit;
const Event kStep = after(0);
const Event kAuditFile = [](Rig& rig) {
  rig.queue.redirect_requests(std::make_unique<ScriptedSink>(rig.audit, kAudit));
};
const Event kReaderTook = [](Rig& rig) {
  rig.reader_took = true;
  rig.step();
};
const Event kStop = [](Rig& rig) { rig.queue.stop(rig.now + milliseconds(1000)); };

constexpr int kAtOnce = 0, kForEver = -1;
struct Expected {
  int wait = kAtOnce;  ///< milliseconds
  News wake = News::none;
  std::vector<int> readers{};
  bool ended = false;
};
struct Case {
  const char* what;
  std::vector<Event> events;
  Expected last;  ///< what the last step says
  std::string err, audit = {};
  bool drop = false;
};

void check(const Case& c) {
  SCOPED_TRACE(c.what);
  Rig rig(c.drop);
  for (const Event& event : c.events) event(rig);
  EXPECT_EQ(rig.last.ended, c.last.ended);
  if (c.last.wait == kForEver) {
    EXPECT_EQ(rig.last.wait_until, LineQueue::Clock::time_point::max());
  } else if (c.last.wait == kAtOnce) {
    EXPECT_LE(rig.last.wait_until, rig.now);
  } else {
    EXPECT_EQ((rig.last.wait_until - rig.now) / milliseconds(1), c.last.wait);
  }
  EXPECT_EQ(rig.last.wake, c.last.wake);
  std::vector<int> readers;
  for (const pollfd& reader : rig.last.readers) readers.push_back(reader.fd);
  EXPECT_EQ(readers, c.last.readers);
  EXPECT_EQ(rig.err->taken, c.err);
  EXPECT_EQ(rig.audit->taken, c.audit);
}

constexpr Expected kSleep{kForEver, News::lines};

TEST(LogDrain, LetsLinesComeTogether) {
  const std::string large(600, 'x');
  const Case cases[] = {
      {"nothing is there", {kStep}, kSleep, ""},
      {"a line is new", {line("a"), kStep}, {10, News::urgent}, ""},
      {"another one", {line("a"), kStep, line("b"), after(4)}, {6, News::urgent}, ""},
      {"the time is over", {line("a"), kStep, line("b"), after(10)}, {}, "a\nb\n"},
      {"and then", {line("a"), kStep, after(10), kStep}, kSleep, "a\n"},
      {"the next batch",
       {line("a"), kStep, after(10), line("b"), kStep},
       {10, News::urgent},
       "a\n"},
      {"enough is there", {line(large), kStep}, {}, large + "\n"},
      {"an answer waits", {stalls(kErrSink), record("a"), works(kErrSink), kStep}, {}, "a\n"},
      {"a worker has written the batch, and another one begins",
       {line("a"), kStep, record("b"), after(4), line("c"), after(10)},
       {10, News::urgent},
       "a\nb\n"},
      {"a worker has written it", {line("a"), kStep, record("b"), after(10)}, kSleep, "a\nb\n"},
  };
  for (const Case& c : cases) check(c);
}

TEST(LogDrain, WaitsForAReaderThatStalls) {
  const Event stalled = stalls(kErrSink);
  const Case cases[] = {
      {"it is polled", {stalled, record("a"), kStep}, {50, News::none, {kErr}}, ""},
      {"it still does not read",
       {stalled, record("a"), kStep, after(50), after(10)},
       {50, News::none, {kErr}},
       ""},
      {"it takes a part",
       {stalled, record("abc"), kStep, room(kErrSink, 2), kReaderTook},
       {50, News::none, {kErr}},
       "ab"},
      {"it takes all, and nothing is let come together meanwhile",
       {stalled, line("a"), kStep, after(10), line("b"), works(kErrSink), kReaderTook},
       {},
       "a\nb\n"},
      {"the file is looked after in between",
       {kAuditFile, stalled, line("a"), kStep, after(10), record("b")},
       {10, News::none, {kErr}},
       "",
       "b\n"},
      {"a file that stalls beside it",
       {kAuditFile, stalls(kAuditSink), stalled, line("a"), record("b"), kStep},
       {10, News::none, {kErr, kAudit}},
       ""},
  };
  for (const Case& c : cases) check(c);
}

TEST(LogDrain, TellsOnceWhatAReaderThatWasGoneHasLost) {
  const Event gone = fails(kErrSink), back = works(kErrSink);
  const Case cases[] = {
      {"it is tried again", {gone, record("a"), after(9)}, {1, News::lines}, ""},
      {"it is still gone", {gone, record("a"), after(10), after(10)}, {10, News::none}, ""},
      {"then more and more seldom",
       {gone, record("a"), after(10), after(10), kStep, after(10)},
       {10, News::lines},
       ""},
      {"it is back", {gone, record("a"), back, after(10), after(10)}, {}, "lost 1\n"},
      {"only once",
       {gone, record("a"), back, after(10), after(10), kStep, after(100)},
       kSleep,
       "lost 1\n"},
      {"together with what was lost meanwhile",
       {gone, record("a"), record("b"), after(10), after(10), record("c"), back, after(20),
        after(10), kStep},
       kSleep,
       "lost 2\nc\n"},
      {"it is gone again in the middle of the report",
       {gone, record("a"), becomes(kErrSink, 3, ENOSPC), after(10), after(10), back, after(10),
        after(10), kStep},
       kSleep,
       "lost 1\nlost 1\n"},
      {"in the middle of a line, which is completed",
       {becomes(kErrSink, 3, ENOSPC), record("abcde\nf"), back, after(10), after(10), kStep},
       kSleep,
       "abcde\nlost 1\n"},
      {"nobody wants to know",
       {[](Rig& rig) { rig.silent = true; }, gone, record("a"), back, after(10), after(10),
        line("b"), after(20), after(10), kStep},
       kSleep,
       "b\n"},
      {"there is no memory for telling it",
       {gone, record("a"), back, [](Rig& rig) { rig.no_memory = true; }, after(10), after(10)},
       {10, News::none},
       ""},
      {"there is again",
       {gone, record("a"), back, [](Rig& rig) { rig.no_memory = true; }, after(10), after(10),
        [](Rig& rig) { rig.no_memory = false; }, after(10), after(10)},
       {},
       "lost 1\n"},
  };
  for (const Case& c : cases) check(c);
}

TEST(LogDrain, AFileThatFailsHoldsUpNothingElse) {
  const Event full = fails(kAuditSink), room_again = works(kAuditSink);
  const Case cases[] = {
      {"stderr goes on, and what was lost is not told yet",
       {kAuditFile, full, record("a"), line("b"), after(9), after(10)},
       {10, News::none},
       "b\n"},
      {"what comes meanwhile is kept until the next attempt",
       {kAuditFile, full, record("a"), record("b"), room_again, after(10), after(10), kStep},
       {10, News::urgent},
       "",
       "b\n"},
      {"then it is told",
       {kAuditFile, full, record("a"), record("b"), room_again, after(10), after(10), kStep,
        after(10), kStep},
       kSleep,
       "lost 1\n",
       "b\n"},
      {"also when requests go elsewhere from then on",
       {kAuditFile, full, record("a"), [](Rig& rig) { rig.queue.redirect_requests(nullptr); },
        kStep, after(10), kStep},
       kSleep,
       "lost 1\n"},
  };
  for (const Case& c : cases) check(c);
}

TEST(LogDrain, AFullBufferIsEmptiedWithoutAPause) {
  const std::string most(kBytes - 1, 'x');
  const auto is_full = [](bool full) -> Event {
    return [full](Rig& rig) { EXPECT_EQ(rig.full.load(), full); };
  };
  const Case cases[] = {
      {"requests wait while the reader stalls",
       {stalls(kErrSink), line(most), is_full(true), kStep, is_full(true)},
       {50, News::none, {kErr}},
       ""},
      {"until a quarter is free",
       {stalls(kErrSink), line(most), kStep, room(kErrSink, 250), kReaderTook, is_full(false)},
       {50, News::none, {kErr}},
       most.substr(0, 250)},
      {"a failing one is tried at once",
       {fails(kErrSink), record("a"), line(most), is_full(true), kStep, is_full(false)},
       {10, News::none},
       ""},
      {"what is dropped is told when there is room",
       {stalls(kErrSink), line(most), line("a"), line("b"), is_full(false), kStep, works(kErrSink),
        kReaderTook, after(10), after(10), kStep},
       kSleep,
       most + "\nlost 2\n",
       "",
       true},
  };
  for (const Case& c : cases) check(c);
}

TEST(LogDrain, DoesNotPauseForOneReaderWhileAnotherTakesAll) {
  Rig rig(false, 8 << 20);
  for (const Event& event : {kAuditFile, stalls(kAuditSink), record("a")}) event(rig);
  for (int i = 0; i < 3000; ++i) line(std::string(999, 'x'))(rig);
  kStep(rig);
  EXPECT_LT(rig.err->taken.size(), 3'000'000u);
  EXPECT_LE(rig.last.wait_until, rig.now);
  EXPECT_TRUE(rig.last.readers.empty());
}

TEST(LogDrain, EndsWhenAllHasLeftAndAfterItsTimeAtTheLatest) {
  constexpr Expected kEnded{.ended = true};
  const Case cases[] = {
      {"nothing is there", {kStop, kStep}, kEnded, ""},
      {"lines are", {line("a"), kStop, kStep}, {}, "a\n"},
      {"and have left", {line("a"), kStop, kStep, kStep}, kEnded, "a\n"},
      {"nobody reads", {stalls(kErrSink), line("a"), kStop, kStep}, {50, News::none, {kErr}}, ""},
      {"nobody has read for so long",
       {stalls(kErrSink), line("a"), kStop, kStep, after(999)},
       {50, News::none, {kErr}},
       ""},
      {"that is too long",
       {stalls(kErrSink), line("a"), kStop, kStep, after(999), after(1)},
       kEnded,
       ""},
      {"the reader came back",
       {stalls(kErrSink), line("a"), kStop, kStep, after(999), works(kErrSink), after(0), kStep},
       kEnded,
       "a\n"},
      {"lost lines are told first, although the file still fails",
       {kAuditFile, fails(kAuditSink), record("a"), kStop, kStep, kStep},
       kEnded,
       "lost 1\n"},
      {"a reader that is gone is not waited for",
       {fails(kErrSink), record("a"), kStop, kStep},
       kEnded,
       ""},
  };
  for (const Case& c : cases) check(c);
}

}  // namespace
}  // namespace iron::proxy
