#include "proxy/exchange/body_mover.h"

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/wait/buffers.h"
#include "tests/proxy/fake_answer.h"
#include "tests/proxy/manual_clock.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using Step = BodyMover::Step;
using Failure = BodyMover::Failure;

class BodyMoverTest : public testing::Test {
 protected:
  BodyMoverTest() { restart(); }
  void restart() {
    mover_.reset();
    filter_.emplace();
    sink_.emplace(trail_);
    source_.emplace(trail_, *sink_);
    trail_.take();
    ready_ = 0;
    moved_ = 0;
  }
  BodyMover& begin(bool filtered = false) {
    return mover_.emplace(*source_, *sink_, filtered ? &*filter_ : nullptr, loop_);
  }
  /// Steps until one does not move; what it says of that is the last word.
  Step go() {
    while (true) {
      const Step step = mover_->advance(moved_);
      trail_.add(kNames[static_cast<std::size_t>(step)]);
      if (step == Step::last_bytes_ready) {
        ++ready_;
        EXPECT_EQ(mover_->withheld_until(), SteadyTime::max()) << "nothing to wait for";
      }
      if (step != Step::moved && step != Step::last_bytes_ready) return step;
    }
  }
  std::string trail() {
    go();
    return trail_.take();
  }

  static constexpr const char* kNames[] = {"moved", "no-room",  "no-bytes",
                                           "READY", "complete", "failed"};
  ManualClock clock_;
  EventLoop loop_{clock_};
  Trail trail_;
  std::optional<FakeFilter> filter_;
  std::optional<FakeSink> sink_;
  std::optional<FakeSource> source_;
  std::optional<BodyMover> mover_;
  int ready_ = 0;
  std::size_t moved_ = 0;
};

TEST_F(BodyMoverTest, WhatIsDoneInWhichOrder) {
  struct Case {
    const char* name;
    bool holds;
    int blocked;
    std::deque<std::string> here, coming;
    const char* trail;
  };
  const Case cases[] = {
      {"all came with the head", false, 0, {"abc$"}, {}, "copy:abc end READY write:Habc. complete"},
      {"pieces came with the head",
       false,
       0,
       {"ab", "c$"},
       {},
       "copy:ab copy:c end READY write:Habc. complete"},
      {"nothing came with the head",
       false,
       0,
       {},
       {"abc$"},
       "write:H moved ask copy:abc end READY write:abc. complete"},
      {"what came leaves before more is asked for",
       false,
       0,
       {"a"},
       {"b", "c$"},
       "copy:a write:Ha moved ask copy:b write:b moved ask copy:c end READY write:c. complete"},
      {"the end comes alone",
       false,
       0,
       {"a"},
       {"$"},
       "copy:a write:Ha moved ask end READY write:. complete"},
      {"no body", false, 0, {"$"}, {}, "end READY write:H. complete"},
      {"held pieces go one by one",
       true,
       0,
       {"a", "b$"},
       {},
       "hold:a write:Ha moved hold:b end READY write:b complete"},
      {"held, and the end comes alone",
       true,
       0,
       {},
       {"a", "$"},
       "write:H moved ask hold:a write:a moved ask end READY write: complete"},
      {"the origin is slow", false, 0, {}, {"-"}, "write:H moved ask no-bytes"},
      {"the client is slow", false, 1, {"abc$"}, {}, "copy:abc end READY write:Ha no-room"},
      {"the client is slow with the head", false, 1, {}, {"abc$"}, "write: no-room"},
      {"lost", false, 0, {"a"}, {"lost"}, "copy:a write:Ha moved ask cut failed"},
      {"broken", false, 0, {"a"}, {"broken"}, "copy:a write:Ha moved ask cut failed"},
      {"broken at once", false, 0, {"broken"}, {}, "forget failed"},
      {"broken behind what came with the head",
       false,
       0,
       {"a", "broken"},
       {},
       "copy:a forget failed"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    sink_->holds = row.holds;
    sink_->blocked = row.blocked;
    source_->here = row.here;
    source_->coming = row.coming;
    begin();
    EXPECT_EQ(trail(), row.trail);
  }
}

TEST_F(BodyMoverTest, AHeadWithoutABodyIsTheLastOfItsBytes) {
  source_->bodiless = true;
  begin();
  EXPECT_EQ(trail(), "end READY write:H. complete");
}

TEST_F(BodyMoverTest, NothingIsTakenWhileTheClientTakesNothing) {
  for (const bool holds : {false, true}) {
    restart();
    sink_->holds = holds;
    source_->here = {"abcdef"};
    source_->coming = {"g$"};
    begin();
    sink_->blocked = 3;
    EXPECT_EQ(trail(), holds ? "hold:abcdef write:Hab no-room" : "copy:abcdef write:Hab no-room");
    EXPECT_EQ(trail(), "write:cd no-room");
    EXPECT_EQ(trail(), "write:e no-room");
    EXPECT_EQ(trail(), holds ? "write:f moved ask hold:g end READY write:g complete"
                             : "write:f moved ask copy:g end READY write:g. complete");
  }
}

/// One order of events, and who takes part in it.
struct Order {
  std::vector<std::string> events;
  std::size_t here = 0;  ///< so many came with the head
  bool holds = false, filtered = false, cuts = false;
  int blocked = 0;
};

std::vector<Order> all_orders() {
  std::vector<std::vector<std::string>> begun = {{}};
  for (std::size_t done = 0, length = 0; length < 3; ++length) {
    for (const std::size_t end = begun.size(); done < end; ++done) {
      for (const char* const next : {"ab", "-"}) {
        begun.push_back(begun[done]);
        begun.back().emplace_back(next);
      }
    }
  }
  std::vector<Order> orders;
  for (const auto& events : begun) {
    for (const char* const last : {"c$", "$", "lost", "broken"}) {
      for (std::size_t here = 0; here <= events.size() && (here == 0 || events[here - 1] != "-");
           ++here) {
        for (unsigned who = 0; who < 32; ++who) {
          orders.push_back({events, here, (who & 1) != 0, (who & 2) != 0, (who & 4) != 0,
                            static_cast<int>(who >> 3)});
          orders.back().events.emplace_back(last);
        }
      }
    }
  }
  return orders;
}

TEST_F(BodyMoverTest, EveryOrderOfEventsKeepsThePromises) {
  for (const Order& order : all_orders()) {
    restart();
    sink_->holds = order.holds && !order.filtered;
    sink_->blocked = order.blocked;
    filter_->cuts = order.cuts;
    filter_->most = 1;
    const auto split = order.events.begin() + static_cast<std::ptrdiff_t>(order.here);
    source_->here.assign(order.events.begin(), split);
    source_->coming.assign(split, order.events.end());
    begin(order.filtered);
    std::string all;
    for (const std::string& event : order.events) {
      if (event == "ab" || event == "c$") all += event.substr(0, event.find('$'));
    }
    const std::string whole = "H" + all + (sink_->holds ? "" : ".");
    Step step = Step::moved;
    for (int i = 0; i < 50 && step != Step::complete && step != Step::failed; ++i) {
      step = mover_->advance(moved_);
      trail_.add(kNames[static_cast<std::size_t>(step)]);
      if (step != Step::last_bytes_ready) continue;
      ++ready_;
      EXPECT_EQ(sink_->written.size() + sink_->pending(), whole.size()) << "all of it is here";
      EXPECT_TRUE(sink_->holds || sink_->has_pending()) << "too late";
    }
    const std::string trail = trail_.take();
    SCOPED_TRACE(trail);
    EXPECT_EQ(moved_, sink_->written.size() + source_->all_arrived);
    if (order.events.back().back() == '$') {
      EXPECT_EQ(step, Step::complete);
      EXPECT_EQ(sink_->written, whole);
      EXPECT_EQ(ready_, 1);
      EXPECT_EQ(mover_->bytes(), all.size());
      EXPECT_EQ(mover_->problem(), "");
    } else {
      EXPECT_EQ(step, Step::failed);
      EXPECT_EQ(whole.find(sink_->written), 0U);
      EXPECT_EQ(ready_, 0);
      EXPECT_FALSE(sink_->ended) << "it does not look whole";
      EXPECT_EQ(mover_->problem(), "it is " + order.events.back());
      EXPECT_NE(trail.find(mover_->begun() ? " cut failed" : "forget failed"), trail.npos);
    }
    const std::string& last = order.events.back();
    EXPECT_EQ(mover_->failure(), last == "lost"     ? Failure::source_lost
                                 : last == "broken" ? Failure::source_broken
                                                    : Failure::none);
    if (HasFailure()) return;
  }
}

TEST_F(BodyMoverTest, WhatAFilterRefusesIsForgottenOrCut) {
  struct Case {
    const char* name;
    std::deque<std::string> here, coming;
    const char *refused, *trail;  ///< `refused`: by what; the body is where a `!` is
  };
  const Case cases[] = {
      {"nothing", {"abc$"}, {}, "", "copy:ab copy:c end READY write:Habc. complete"},
      {"nothing of pieces",
       {"ab"},
       {"c$"},
       "",
       "copy:a write:Ha moved ask copy:b copy:c end READY write:bc. complete"},
      {"its beginning", {"!a$"}, {}, "body", "forget failed"},
      {"its middle", {"ab"}, {"c!$"}, "body", "copy:a write:Ha moved ask cut failed"},
      {"its middle, that came with the head", {"ab", "!"}, {}, "body", "copy:a forget failed"},
      {"its end", {"ab$"}, {}, "end", "copy:a forget failed"},
      {"its end, later", {"ab"}, {"$"}, "end", "copy:a write:Ha moved ask cut failed"},
      {"its trailers", {"ab$"}, {}, "trailers", "copy:a copy:b forget failed"},
      {"its trailers, later",
       {"ab"},
       {"$"},
       "trailers",
       "copy:a write:Ha moved ask copy:b cut failed"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    const std::string refused = row.refused;
    filter_->refuses_end = refused == "end";
    filter_->refuses_trailers = refused == "trailers";
    source_->here = row.here;
    source_->coming = row.coming;
    begin(true);
    EXPECT_EQ(trail(), row.trail);
    EXPECT_EQ(mover_->failure(), refused.empty() ? Failure::none : Failure::refused);
    EXPECT_EQ(mover_->problem(), refused.empty() ? "" : "refused: " + refused);
    EXPECT_EQ(mover_->begun(), refused.empty() || !row.coming.empty());
  }
}

TEST_F(BodyMoverTest, ALargePieceGoesThroughTheFilterInParts) {
  const std::string large(300'000, 'x');
  filter_->most = 1000;
  source_->here = {large + "$"};
  sink_->blocked = 3;
  begin(true);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(go(), Step::no_room);
  EXPECT_EQ(go(), Step::complete);
  EXPECT_EQ(sink_->written, "H" + large + ".");
  EXPECT_EQ(mover_->bytes(), large.size());
  EXPECT_EQ(filter_->calls, 300);
  EXPECT_LT(sink_->most_composed, BufferPool::kLarge + 2000) << "composed beyond its bound";
  EXPECT_GT(sink_->most_composed, BufferPool::kLarge / 2) << "small writes";
  EXPECT_EQ(ready_, 1);
}

TEST_F(BodyMoverTest, TrailersAreKeptAndCleanedWhereTheyAreWanted) {
  for (const bool wanted : {false, true}) {
    for (const bool filtered : {false, true}) {
      restart();
      sink_->trailers_wanted = wanted;
      source_->here = {"$"};
      begin(filtered);
      EXPECT_EQ(source_->trailers_kept, wanted);
      const std::string trailers = !wanted ? "" : filtered ? "clean T" : "T";
      EXPECT_EQ(go(), Step::complete);
      EXPECT_EQ(sink_->written, "H" + trailers + ".");
    }
  }
}

TEST_F(BodyMoverTest, OneThatMayBeCutWaitsForItsBody) {
  filter_->cuts = true;
  source_->here = {"ab"};
  begin(true);
  const SteadyTime until = clock_.now() + 5ms;
  EXPECT_EQ(mover_->withheld_until(), until);
  EXPECT_EQ(trail(), "copy:a ask moved ask no-bytes");
  clock_.advance(5ms - 1ns);
  source_->coming = {"c"};
  EXPECT_EQ(trail(), "ask copy:b ask moved ask no-bytes");
  EXPECT_EQ(mover_->withheld_until(), until) << "it does not wait again";
  EXPECT_FALSE(mover_->begun());
  clock_.advance(1ns);
  EXPECT_EQ(mover_->withheld_until(), until) << "who sleeps until then must be woken";
  EXPECT_EQ(trail(), "write:Hab moved ask no-bytes");
  EXPECT_TRUE(mover_->begun());
  EXPECT_EQ(mover_->withheld_until(), SteadyTime::max());
  source_->coming = {"d!"};
  EXPECT_EQ(trail(), "ask cut failed");
}

TEST_F(BodyMoverTest, NoneWaitsLongerThanItMust) {
  const std::string large(BufferPool::kLarge + 1, 'x');
  struct Case {
    const char* name;
    bool filtered, cuts;
    std::deque<std::string> coming;
    const char* trail;
  };
  const Case cases[] = {
      {"no filter", false, true, {}, "write:H moved ask no-bytes"},
      {"a filter that lets all pass", true, false, {}, "write:H moved ask no-bytes"},
      {"nothing came", true, true, {}, "ask no-bytes"},
      {"all of it came",
       true,
       true,
       {"a", "b$"},
       "ask ask copy:a copy:b end READY write:Hab. complete"},
      {"much of it came", true, true, {large}, "ask copy:many moved write:many moved ask no-bytes"},
      {"it ends early", true, true, {"ab", "lost"}, "ask copy:a ask forget failed"},
      {"its framing is broken", true, true, {"ab", "broken"}, "ask copy:a ask forget failed"},
      {"it is refused", true, true, {"ab", "!"}, "ask copy:a ask forget failed"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    filter_->cuts = row.cuts;
    source_->coming = row.coming;
    begin(row.filtered);
    EXPECT_EQ(mover_->withheld_until(),
              row.filtered && row.cuts ? clock_.now() + 5ms : SteadyTime::max());
    EXPECT_EQ(trail(), row.trail);
    if (sink_->ended) EXPECT_EQ(mover_->withheld_until(), SteadyTime::max());
  }
}

TEST_F(BodyMoverTest, AClientThatIsLostIsTold) {
  source_->here = {"abc$"};
  sink_->lost = true;
  begin();
  EXPECT_EQ(trail(), "copy:abc end READY cut failed");
  EXPECT_EQ(mover_->failure(), Failure::sink_lost);
  EXPECT_EQ(mover_->problem(), "write: broken pipe");
}

TEST_F(BodyMoverTest, OthersMayCutIt) {
  for (const bool begun : {false, true}) {
    restart();
    begin();
    if (begun) EXPECT_EQ(trail(), "write:H moved ask no-bytes");
    EXPECT_EQ(mover_->has_pending(), !begun);
    mover_->cut("client gone");
    EXPECT_EQ(trail_.take(), begun ? "cut" : "forget");
    EXPECT_EQ(mover_->problem(), "client gone");
    EXPECT_EQ(mover_->failure(), Failure::cut);
    EXPECT_FALSE(mover_->has_pending());
  }
}

}  // namespace
}  // namespace iron::proxy
