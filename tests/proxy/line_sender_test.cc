#include "proxy/log/line_sender.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/scripted_sink.h"

namespace iron::proxy {
namespace {

using Script = ScriptedSink::Script;

/// A sender in front of a scripted sink, and the sums of what its attempts came to.
struct Rig {
  void put(std::string lines) {
    LogChunkList chunk;
    chunk.emplace_back().bytes = std::move(lines);
    sender.put(chunk);
  }
  /// An attempt of which `room` bytes are taken before `error`.
  void drain(std::size_t room, int error = EAGAIN) {
    script->room = room;
    script->error = error;
    add(sender.drain({}, ScriptedSink::kAll));
  }
  void write(std::string lines, std::size_t room, int error = EAGAIN) {
    script->room = room;
    script->error = error;
    add(sender.write({}, lines));
  }
  void add(const LineSender::Progress& progress) {
    last = {progress.took, progress.blocked, progress.failed};
    settled += progress.settled;
    lost += progress.lost;
    reports += progress.report_written ? 1 : 0;
  }
  struct Last {
    bool took = false, blocked = false, failed = false;
    bool operator==(const Last&) const = default;
  };

  std::shared_ptr<Script> script = std::make_shared<Script>();
  LineSender sender{std::make_unique<ScriptedSink>(script, -1)};
  Last last;
  std::size_t settled = 0;
  std::uint64_t lost = 0;
  int reports = 0;
};

TEST(LineSender, TellsWhatAnAttemptCameTo) {
  struct Case {
    const char* what;
    std::size_t room;
    int error;
    Rig::Last last;
    std::string taken;
    std::size_t settled;
    std::uint64_t lost;
    bool empty;
  };
  const Case cases[] = {
      {"all taken", ScriptedSink::kAll, 0, {.took = true}, "one\ntwo\n", 8, 0, true},
      {"nothing taken", 0, EAGAIN, {.blocked = true}, "", 0, 0, false},
      {"a line taken", 4, EAGAIN, {.took = true, .blocked = true}, "one\n", 4, 0, false},
      {"a line begun", 5, EAGAIN, {.took = true, .blocked = true}, "one\nt", 5, 0, false},
      {"the reader is gone", 0, EPIPE, {.failed = true}, "", 8, 2, true},
      {"gone behind a line", 4, EPIPE, {.took = true, .failed = true}, "one\n", 8, 1, true},
      {"gone within a line", 5, ENOSPC, {.took = true, .failed = true}, "one\nt", 5, 0, false},
      {"gone within the first", 1, ENOSPC, {.took = true, .failed = true}, "o", 5, 1, false},
  };
  for (const Case& c : cases) {
    for (const bool through : {false, true}) {
      SCOPED_TRACE(std::string(c.what) + (through ? ", written through" : ""));
      Rig rig;
      if (through) {
        rig.write("one\ntwo\n", c.room, c.error);
      } else {
        rig.put("one\ntwo\n");
        rig.drain(c.room, c.error);
      }
      EXPECT_EQ(rig.last, c.last);
      EXPECT_EQ(rig.script->taken, c.taken);
      EXPECT_EQ(rig.settled, c.settled);
      EXPECT_EQ(rig.lost, c.lost);
      EXPECT_EQ(rig.sender.empty(), c.empty);
    }
  }
}

TEST(LineSender, AReportLeavesFirstButBehindALineThatWasBegun) {
  struct Case {
    std::size_t room_before;
    std::string taken;
  };
  for (const Case& c : {Case{0, "R\none\ntwo\n"}, Case{1, "one\nR\ntwo\n"},
                        Case{4, "one\nR\ntwo\n"}, Case{5, "one\ntwo\nR\n"}}) {
    Rig rig;
    rig.put("one\ntwo\n");
    rig.drain(c.room_before);
    rig.sender.put_report("R\n");
    EXPECT_TRUE(rig.sender.reporting());
    rig.drain(ScriptedSink::kAll);
    EXPECT_EQ(rig.script->taken, c.taken);
    EXPECT_EQ(rig.reports, 1);
    EXPECT_FALSE(rig.sender.reporting());
    EXPECT_EQ(rig.settled, 8u);  // those of the report do not count
  }
}

TEST(LineSender, WritesAboutAsMuchAsItMay) {
  Rig rig;
  for (int i = 0; i < 3; ++i) rig.put("line\n");
  LineSender::Progress progress = rig.sender.drain({}, 6);
  EXPECT_EQ(progress.settled, 10u);
  EXPECT_EQ(progress.spent.size(), 2u);
  EXPECT_FALSE(rig.sender.empty());
}

TEST(LineSender, MasksWhatItWrites) {
  const Secret key = Secret::copy_of("sk-real-0123456789");
  const std::vector<const Secret*> keys{&key};
  const LineSender::Nets nets{std::make_shared<const transforms::KeyNet>(keys)};
  const std::string line = "a sk-real-0123456789 b\n", masked = "a ****************** b\n";
  Rig rig;
  rig.put(line);
  rig.sender.drain(nets, ScriptedSink::kAll);
  std::string through = line;
  rig.sender.write(nets, through);
  EXPECT_EQ(rig.script->taken, masked + masked);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Whatever happens, in whatever order: what arrives is whole lines in their order, and each line
/// arrives or is counted as lost.
class EveryOrder {
 public:
  static constexpr int kEvents = 8;

  void happen(int event) {
    const int room = event == 4 || event == 6 ? 1 : 4;
    switch (event) {
      case 0:
        return put(true);
      case 1:
        return put(false);
      case 2:
        return report();
      case 3:
        return rig_.drain(0, EPIPE);
      case 4:
      case 5:
        return rig_.drain(static_cast<std::size_t>(room));
      case 6:
      case 7:
        return rig_.drain(static_cast<std::size_t>(room), EPIPE);
    }
  }

  void check() {
    rig_.drain(ScriptedSink::kAll);
    ASSERT_TRUE(rig_.sender.empty());
    ASSERT_EQ(rig_.settled, bytes_);
    const std::string& taken = rig_.script->taken;
    ASSERT_TRUE(taken.empty() || taken.back() == '\n') << taken;
    std::uint64_t arrived = 0;
    int reports = 0, last = 0;
    for (const std::string& line : lines_of(taken)) {
      if (line == "report") {
        ++reports;
        continue;
      }
      ASSERT_EQ(line.size(), 4u) << taken;
      ASSERT_EQ(line.substr(0, 1), "n") << taken;
      const int number = std::stoi(line.substr(1));
      ASSERT_GT(number, last) << taken;
      last = number;
      ++arrived;
    }
    ASSERT_EQ(arrived + rig_.lost, static_cast<std::uint64_t>(lines_)) << taken;
    ASSERT_LE(reports, reports_);
    ASSERT_GE(reports, rig_.reports);
  }

 private:
  std::string line() { return "n" + std::to_string(100 + ++lines_) + "\n"; }
  void put(bool queued) {
    std::string text = line() + line();
    bytes_ += text.size();
    if (queued || !rig_.sender.empty()) {
      rig_.put(std::move(text));
    } else {
      rig_.write(std::move(text), 7, lines_ % 4 == 0 ? EPIPE : EAGAIN);
    }
  }
  void report() {
    if (rig_.sender.reporting()) return;
    ++reports_;
    rig_.sender.put_report("report\n");
  }

  Rig rig_;
  int lines_ = 0, reports_ = 0;
  std::size_t bytes_ = 0;
};

TEST(LineSender, LosesNoLineWithoutCountingItInWhateverOrderThingsHappen) {
  constexpr int kLength = 6, kOrders = 1 << (3 * kLength);
  static_assert(EveryOrder::kEvents == 1 << 3);
  for (int order = 0; order < kOrders; ++order) {
    EveryOrder run;
    for (int at = 0; at < kLength; ++at) run.happen(order >> (3 * at) & 7);
    run.check();
    if (testing::Test::HasFatalFailure()) FAIL() << std::oct << order;
  }
}

}  // namespace
}  // namespace iron::proxy
