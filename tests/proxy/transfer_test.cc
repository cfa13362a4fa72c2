#include "proxy/exchange/transfer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http/answers.h"
#include "tests/proxy/fake_answer.h"
#include "tests/proxy/fake_streams.h"
#include "tests/proxy/manual_clock.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using State = Transfer::State;
using Script = std::deque<std::string>;

constexpr auto kTick = 20ms;  ///< to which the loop is exact

/// Two streams without connections and what moves between them. A request without more is `$`, and
/// leaves as `H.`.
class TransferTest : public testing::Test {
 protected:
  TransferTest() { restart(); }
  ~TransferTest() override { end_all(); }
  void end_all() {
    if (!client_) return;
    // Whoever still sleeps is told to go; nothing of it is looked at.
    if (!done_) {
      upstream_->heads = {"failed"};
      down_source_->here = down_source_->coming = {"lost"};
      down_sink_->blocked = 0;
      wake();
    }
  }
  void restart() {
    end_all();
    transfer_.reset();
    up_.reset();
    down_.reset();
    client_.reset();
    filter_.emplace();
    up_sink_.emplace(trail_, "up.");
    down_sink_.emplace(trail_, "down.");
    up_source_.emplace(trail_, *up_sink_, "up.");
    down_source_.emplace(trail_, *down_sink_, "down.");
    up_source_->here = {"$"};
    client_.emplace(trail_, loop_, *up_source_, *down_sink_);
    upstream_.emplace(trail_, *up_sink_, *down_source_);
    limits_ = {30s, 60s, 90s};
    quiet_ = 90s;
    filtered_ = sensitive_ = false;
    done_ = true;
    result_.reset();
    state_.reset();
    trail_.take();
  }
  /// What the client sends of its body: what is `here`, and what is `coming`.
  void upload(Script here, Script coming) {
    up_source_->here = std::move(here);
    up_source_->coming = std::move(coming);
  }
  void settle() {
    while (loop_.turn()) {
    }
  }
  void wake() {
    client_->pause().wake();
    settle();
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  void spawn(Task<void> task) {
    done_ = false;
    start(std::move(task), [](std::exception_ptr) { FAIL() << "thrown"; });
  }
  void begin_head() {
    up_.emplace(*up_source_, *up_sink_, nullptr, loop_);
    transfer_.emplace(*client_, *upstream_, *up_, limits_);
    spawn(read_head());
  }
  void head() {
    begin_head();
    settle();
  }
  Task<void> read_head() {
    AnswerFilter* const filter = filtered_ ? &*filter_ : nullptr;
    result_ = co_await transfer_->head(response_, filter, sensitive_);
    done_ = true;
  }
  /// The head of the answer came with what is in the scripts of the two; its body begins.
  void begin_body() {
    if (!transfer_) {
      upstream_->heads = {"200"};
      head();
      ASSERT_TRUE(done_ && result_->has_value());
      trail_.take();
    }
    if (!down_) {
      AnswerFilter* const filter = filtered_ ? &*filter_ : nullptr;
      down_.emplace(*down_source_, *down_sink_, filter, loop_);
    }
    state_.reset();
    spawn(move_body());
  }
  void body() {
    begin_body();
    settle();
  }
  Task<void> move_body() {
    state_ = co_await transfer_->body(*down_, quiet_);
    done_ = true;
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  Trail trail_;
  std::optional<FakeFilter> filter_;
  std::optional<FakeSink> up_sink_, down_sink_;
  std::optional<FakeSource> up_source_, down_source_;
  std::optional<FakeClient> client_;
  std::optional<FakeUpstream> upstream_;
  Transfer::Limits limits_{};
  policy::Duration quiet_{};
  bool filtered_ = false, sensitive_ = false, done_ = true;
  std::optional<BodyMover> up_, down_;
  std::optional<Transfer> transfer_;
  Response response_;
  std::optional<Result<void>> result_;
  std::optional<State> state_;
};

TEST_F(TransferTest, TheRequestLeavesBesideTheWaitForItsAnswer) {
  struct Case {
    const char* name;
    Script here, coming, heads;
    const char* trail;
  };
  const Case cases[] = {
      {"no body", {"$"}, {}, {"200"}, "up.end up.write:H. head:200"},
      {"a body that is here",
       {"ab", "c$"},
       {},
       {"200"},
       "up.copy:ab up.copy:c up.end up.write:Habc. head:200"},
      {"a body that comes meanwhile",
       {"ab"},
       {"c$"},
       {"200"},
       "up.copy:ab up.write:Hab up.ask up.copy:c up.end up.write:c. head:200"},
      {"the answer comes before the body",
       {"ab"},
       {},
       {"200"},
       "up.copy:ab up.write:Hab up.ask head:200"},
      {"in parts", {"$"}, {}, {"+", "+", "200"}, "up.end up.write:H. head:200"},
      {"a switch of protocols", {"$"}, {}, {"101"}, "up.end up.write:H. head:101"},
      {"interim answers",
       {"$"},
       {},
       {"100", "103", "200"},
       "up.end up.write:H. head:100 interim:100 pass head:103 interim:103 pass head:200"},
      {"an interim answer before the body",
       {"ab"},
       {},
       {"103", "200"},
       "up.copy:ab up.write:Hab up.ask head:103 interim:103 pass up.ask head:200"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    upload(row.here, row.coming);
    upstream_->heads = row.heads;
    head();
    ASSERT_TRUE(done_);
    EXPECT_TRUE(result_->has_value());
    EXPECT_FALSE(transfer_->timed_out());
    EXPECT_EQ(trail_.take(), row.trail);
    EXPECT_EQ(response_.status, std::stoi(row.heads.back()));
    advance(1h);
    EXPECT_FALSE(client_->pause().expired()) << "no deadline is left behind";
  }
}

TEST_F(TransferTest, AnOriginThatTakesNoMoreMayHaveAnswered) {
  up_sink_->lost = true;
  upstream_->heads = {"-", "413"};
  head();
  EXPECT_FALSE(done_);
  wake();
  ASSERT_TRUE(done_);
  EXPECT_TRUE(result_->has_value());
  EXPECT_EQ(trail_.take(), "up.end up.cut head:413") << "it was tried once";
}

TEST_F(TransferTest, InterimAnswersGoThroughTheFilterToWhoTakesThem) {
  for (const bool sensitive : {false, true}) {
    restart();
    filtered_ = true;
    sensitive_ = sensitive;
    client_->untaken = 100;
    client_->waits_in_interim = true;
    upstream_->heads = {"100", "103", "200"};
    head();
    const std::string begun = "up.end up.write:H. head:100 pass head:103 interim";
    EXPECT_EQ(trail_.take(), begun + (sensitive ? "!" : ":") + "103");
    EXPECT_FALSE(done_) << "nothing is read while it leaves";
    EXPECT_EQ(filter_->heads, 1) << "what is not taken is not looked at";
    wake();
    EXPECT_TRUE(done_ && result_->has_value());
    EXPECT_EQ(trail_.take(), "pass head:200");
  }
}

TEST_F(TransferTest, SaysWhyThereIsNoAnswerAndWhoseFaultItIs) {
  struct Case {
    const char* name;
    Script here, coming, heads;
    std::function<void()> before, during;
    const char* text;
    Fault fault;
    bool timed_out;
  };
  const auto nothing = [] {};
  const auto gone = [this] { client_->presence = Presence::gone; };
  const auto half_closed = [this] {
    client_->presence = Presence::half_closed;
    client_->half_closed_until = clock_.now() + 5s;
  };
  const auto after = [this](std::chrono::nanoseconds time) {
    return [this, time] {
      advance(time - 1s);
      EXPECT_FALSE(done_);
      advance(1s + kTick);
    };
  };
  const std::string malformed(kMalformedRequest);
  const Case cases[] = {
      {"the client is lost in its body",
       {"ab"},
       {"lost"},
       {},
       nothing,
       nothing,
       "client gone",
       Fault::client_gone,
       false},
      {"its framing is broken",
       {"ab"},
       {"broken"},
       {"200"},
       nothing,
       nothing,
       malformed.c_str(),
       Fault::bad_request,
       false},
      {"the origin fails",
       {"$"},
       {},
       {"failed"},
       nothing,
       nothing,
       "it failed",
       Fault::other,
       false},
      {"the origin fails behind an interim answer",
       {"$"},
       {},
       {"103", "failed"},
       nothing,
       nothing,
       "it failed",
       Fault::other,
       false},
      {"an interim answer is refused",
       {"$"},
       {},
       {"103", "200"},
       [this] { filtered_ = filter_->refuses_head = true; },
       nothing,
       "refused: head",
       Fault::other,
       false},
      {"an interim answer finds nobody",
       {"$"},
       {},
       {"103", "200"},
       gone,
       nothing,
       "client gone",
       Fault::client_gone,
       false},
      {"the client is gone",
       {"$"},
       {},
       {},
       gone,
       nothing,
       "client gone",
       Fault::client_gone,
       false},
      {"it goes later",
       {"$"},
       {},
       {},
       nothing,
       [this] {
         EXPECT_FALSE(done_);
         client_->presence = Presence::gone;
         wake();
       },
       "client gone",
       Fault::client_gone,
       false},
      {"it goes while the origin takes nothing",
       {"abcd$"},
       {},
       {},
       [this] { up_sink_->blocked = 100; },
       [this] {
         EXPECT_FALSE(done_);
         client_->presence = Presence::gone;
         wake();
       },
       "client gone",
       Fault::client_gone,
       false},
      {"half-closed, and no answer in time",
       {"$"},
       {},
       {},
       half_closed,
       after(5s),
       "client gone",
       Fault::client_gone,
       false},
      {"no head in time",
       {"$"},
       {},
       {},
       nothing,
       after(30s),
       "net/http: timeout awaiting response headers (proxy.upstream_response_header_timeout 30s)",
       Fault::header_timeout,
       true},
      {"the request is not taken in time",
       {"abcd$"},
       {},
       {},
       [this] { up_sink_->blocked = 100; },
       after(60s),
       "write: i/o timeout (proxy.limits.stall_timeout 1m0s)",
       Fault::other,
       true},
      {"the body does not come in time",
       {"ab"},
       {},
       {},
       nothing,
       after(90s),
       "no byte from client for 1m30s (proxy.limits.quiet_timeout)",
       Fault::client_silent,
       false},
      {"a part of a head is no head",
       {"$"},
       {},
       {"+"},
       nothing,
       after(30s),
       "net/http: timeout awaiting response headers (proxy.upstream_response_header_timeout 30s)",
       Fault::header_timeout,
       true},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    upload(row.here, row.coming);
    upstream_->heads = row.heads;
    row.before();
    head();
    row.during();
    ASSERT_TRUE(done_);
    ASSERT_TRUE(result_->has_error());
    EXPECT_EQ(result_->error().text, row.text);
    EXPECT_EQ(result_->error().fault, row.fault);
    EXPECT_EQ(transfer_->timed_out(), row.timed_out);
    const std::string trail = trail_.take();
    EXPECT_TRUE(trail.ends_with(" upstream-reset")) << trail;
  }
}

TEST_F(TransferTest, TheEndOfAllEndsTheWaitForAHead) {
  head();
  EXPECT_FALSE(done_);
  loop_.begin_drain();
  wake();
  EXPECT_FALSE(done_) << "what is in flight goes on in the drain";
  loop_.cut_all();
  settle();
  ASSERT_TRUE(done_ && result_->has_error());
  EXPECT_EQ(result_->error().text, "shutting down");
  EXPECT_EQ(result_->error().fault, Fault::client_gone);
  // A busy one sees it too.
  restart();
  upstream_->heads = Script(100, "+");
  begin_head();
  settle();
  ASSERT_TRUE(done_ && result_->has_error());
  EXPECT_EQ(result_->error().text, "shutting down");
}

TEST_F(TransferTest, WhileItsBodyIsAwaitedTheClientIsNotAskedForItsEnd) {
  upload({"ab"}, {});
  client_->presence = Presence::gone;  // as an end before the last byte looks
  head();
  EXPECT_FALSE(done_);
  EXPECT_EQ(client_->polls, 0) << "its bytes belong to the body";
  up_source_->coming = {"lost"};
  wake();
  ASSERT_TRUE(done_ && result_->has_error());
  EXPECT_EQ(result_->error().fault, Fault::client_gone);
}

TEST_F(TransferTest, AHalfClosedClientIsAnsweredInTime) {
  client_->presence = Presence::half_closed;
  client_->half_closed_until = clock_.now() + 5s;
  head();
  advance(4s);
  EXPECT_FALSE(done_);
  upstream_->heads = {"200"};
  wake();
  EXPECT_TRUE(done_ && result_->has_value());
  advance(1h);
  EXPECT_FALSE(client_->pause().expired()) << "no deadline is left behind";
}

TEST_F(TransferTest, TheTimeForAHeadBeginsWhenTheRequestWasSent) {
  upload({"ab"}, {});
  head();
  advance(80s);
  up_source_->coming = {"c$"};
  wake();
  advance(29s);
  upstream_->heads = {"+"};
  wake();  // which changes nothing
  EXPECT_FALSE(done_);
  advance(1s + kTick);
  ASSERT_TRUE(done_ && result_->has_error());
  EXPECT_EQ(result_->error().fault, Fault::header_timeout);
}

TEST_F(TransferTest, EveryByteBeforeThatBeginsANewSilence) {
  struct Case {
    const char* name;
    std::chrono::seconds silence;  ///< that is not allowed
    std::function<void()> byte;
  };
  const Case cases[] = {
      {"of the body", 90s, [this] { up_source_->coming = {"c", "-"}; }},
      {"of the answer", 90s, [this] { upstream_->heads = {"+"}; }},
      {"that is taken", 60s, [] {}},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    upload({"ab" + std::string(60, 'x')}, {});
    if (row.silence == 60s) up_sink_->blocked = 5;  // each wake finds room for a half
    head();
    for (int i = 0; i < 3; ++i) {
      advance(row.silence - 1s);
      ASSERT_FALSE(done_) << i;
      row.byte();
      wake();
    }
    advance(row.silence - 1s);
    EXPECT_FALSE(done_);
    advance(1s + kTick);
    EXPECT_TRUE(done_);
  }
}

TEST_F(TransferTest, OthersHaveTheirTurn) {
  struct Case {
    std::size_t part, before_turn;
  };
  const Case cases[] = {{64 * 1024, 2}, {128 * 1024, 1}, {128 * 1024 - 3, 2}, {1, 15}};
  for (const Case& row : cases) {
    SCOPED_TRACE(row.part);
    restart();
    upstream_->part = row.part;
    upstream_->heads = Script(40, "+");
    upstream_->heads.push_back("200");
    begin_head();
    // The request was a step of two bytes, too.
    EXPECT_EQ(41 - upstream_->heads.size(), row.before_turn);
    settle();
    EXPECT_TRUE(done_ && result_->has_value());
  }
  // Both directions of a body.
  for (const bool upwards : {false, true}) {
    restart();
    const std::string piece(50'000, 'x');
    FakeSource& source = upwards ? *up_source_ : *down_source_;
    FakeSink& sink = upwards ? *up_sink_ : *down_sink_;
    if (upwards) upload({}, {"-"});
    upstream_->heads = {"200"};
    head();
    ASSERT_TRUE(done_);
    sink.holds = true;
    source.coming = Script(20, piece);
    begin_body();
    const std::size_t moved = sink.written.size();
    EXPECT_GE(moved, 50'000U);
    EXPECT_LE(moved, 250'000U) << "it kept the loop for itself";
    settle();
    EXPECT_GE(sink.written.size(), 20 * piece.size());
    EXPECT_FALSE(done_) << "there is no end yet";
  }
}

TEST_F(TransferTest, TheRecordStandsBeforeTheLastBytes) {
  struct Case {
    const char* name;
    Script here, coming;
    const char *before, *behind;
  };
  const Case cases[] = {
      {"no body", {"$"}, {}, "down.end", "down.write:H."},
      {"all is here", {"abc$"}, {}, "down.copy:abc down.end", "down.write:Habc."},
      {"it comes in parts",
       {"ab"},
       {"c$"},
       "down.copy:ab down.write:Hab down.ask down.copy:c down.end",
       "down.write:c."},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    down_source_->here = row.here;
    down_source_->coming = row.coming;
    body();
    EXPECT_EQ(state_, State::last_bytes_ready);
    EXPECT_EQ(trail_.take(), row.before);
    advance(1h);
    EXPECT_EQ(trail_.take(), "") << "nothing leaves while it is written";
    body();
    EXPECT_EQ(state_, State::complete);
    EXPECT_EQ(trail_.take(), row.behind);
    EXPECT_EQ(transfer_->fault(), Fault::other);
    EXPECT_FALSE(transfer_->silent());
    EXPECT_FALSE(transfer_->left_at_rest());
  }
}

TEST_F(TransferTest, BothDirectionsMoveAtOnce) {
  upload({"ab"}, {"-"});
  upstream_->heads = {"200"};
  head();
  EXPECT_EQ(trail_.take(), "up.copy:ab up.write:Hab up.ask head:200");
  down_source_->here = {"12"};
  body();
  EXPECT_EQ(trail_.take(), "up.ask down.copy:12 down.write:H12 up.ask down.ask");
  up_source_->coming = {"c"};
  wake();
  EXPECT_EQ(trail_.take(), "up.ask up.copy:c up.write:c up.ask down.ask up.ask down.ask");
  down_source_->coming = {"3"};
  up_source_->coming = {"d$"};
  wake();
  EXPECT_EQ(trail_.take(),
            "up.ask up.copy:d up.end up.write:d. down.ask down.copy:3 down.write:3 down.ask");
  EXPECT_TRUE(upstream_->sent());
  down_source_->coming = {"$"};
  wake();
  EXPECT_EQ(state_, State::last_bytes_ready);
  body();
  EXPECT_EQ(state_, State::complete);
  EXPECT_EQ(down_sink_->written, "H123.");
  EXPECT_EQ(up_sink_->written, "Habcd.");
}

TEST_F(TransferTest, WhenTheAnswerIsCompleteTheRequestNeedNotBe) {
  upload({"ab"}, {});
  upstream_->heads = {"200"};
  head();
  down_source_->here = {"12$"};
  body();
  EXPECT_EQ(state_, State::last_bytes_ready);
  body();
  EXPECT_EQ(state_, State::complete);
  EXPECT_FALSE(upstream_->sent());
}

TEST_F(TransferTest, ARequestThatBreaksCutsTheAnswerUnlessAllOfThatIsHere) {
  struct Case {
    const char* how;
    const std::string problem;
    Fault fault;
  };
  const Case cases[] = {{"lost", "client gone", Fault::client_gone},
                        {"broken", std::string(kMalformedRequest), Fault::bad_request}};
  for (const Case& row : cases) {
    for (const bool begun : {false, true}) {
      for (const bool whole : {false, true}) {
        SCOPED_TRACE(testing::Message() << row.how << begun << whole);
        restart();
        upload({"ab"}, {"-"});
        upstream_->heads = {"200"};
        head();
        if (begun) {
          body();
          EXPECT_FALSE(done_);
        }
        if (whole) down_source_->coming = {"12$"};
        if (whole) begun ? wake() : body();
        if (whole) EXPECT_EQ(state_, State::last_bytes_ready);
        up_source_->coming = {row.how};
        trail_.take();
        begun && !whole ? wake() : body();
        ASSERT_TRUE(done_);
        const std::string trail = trail_.take();
        if (whole) {
          EXPECT_EQ(state_, State::complete);
          EXPECT_EQ(down_sink_->written, "H12.");
          EXPECT_EQ(transfer_->fault(), Fault::other);
        } else {
          EXPECT_EQ(state_, State::failed);
          EXPECT_EQ(down_->problem(), row.problem);
          EXPECT_EQ(transfer_->fault(), row.fault);
          EXPECT_TRUE(trail.ends_with(begun ? "down.cut" : "down.forget")) << trail;
        }
        EXPECT_FALSE(transfer_->silent());
      }
    }
  }
}

TEST_F(TransferTest, AnOriginThatTakesNoMoreOfTheRequestStillAnswers) {
  upload({"ab"}, {"-"});
  upstream_->heads = {"200"};
  head();
  up_sink_->lost = true;
  up_source_->coming = {"c"};
  body();
  EXPECT_FALSE(done_);
  trail_.take();
  down_source_->coming = {"12$"};
  wake();
  EXPECT_EQ(trail_.take(), "down.ask down.copy:12 down.end") << "nothing more is sent to it";
  body();
  EXPECT_EQ(state_, State::complete);
  EXPECT_EQ(transfer_->fault(), Fault::other);
}

TEST_F(TransferTest, AClientThatLeavesCutsItsAnswer) {
  struct Case {
    const char* name;
    Presence presence;
    bool awaits_room;
    bool cut, at_rest;
  };
  const Case cases[] = {
      {"present", Presence::present, false, false, false},
      {"half-closed", Presence::half_closed, false, false, true},
      {"half-closed, while something waits", Presence::half_closed, true, false, false},
      {"gone", Presence::gone, false, true, true},
      {"gone, while something waits", Presence::gone, true, true, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    down_source_->here = {"1234"};
    if (row.awaits_room) down_sink_->blocked = 1;
    client_->presence = Presence::present;
    body();
    EXPECT_FALSE(done_);
    EXPECT_EQ(down_sink_->written, row.awaits_room ? "H1" : "H1234");
    if (row.awaits_room) down_sink_->blocked = 1;
    client_->presence = row.presence;
    wake();
    EXPECT_EQ(done_, row.cut);
    EXPECT_EQ(transfer_->left_at_rest(), row.at_rest);
    if (row.cut) {
      EXPECT_EQ(state_, State::failed);
      EXPECT_EQ(down_->problem(), "client gone");
      EXPECT_EQ(transfer_->fault(), Fault::client_gone);
    } else {
      down_source_->coming = {"5$"};
      wake();
      EXPECT_EQ(state_, State::last_bytes_ready);
      body();
      EXPECT_EQ(state_, State::complete);
      EXPECT_EQ(down_sink_->written, "H12345.");
    }
    EXPECT_FALSE(transfer_->silent());
  }
}

TEST_F(TransferTest, WhileTheRestOfTheBodyIsAwaitedTheClientIsNotAskedForItsEnd) {
  upload({"ab"}, {});
  upstream_->heads = {"200"};
  head();
  client_->presence = Presence::gone;
  body();
  EXPECT_FALSE(done_);
  EXPECT_EQ(client_->polls, 0);
  up_source_->coming = {"c$"};
  wake();
  EXPECT_EQ(state_, State::failed);
  EXPECT_EQ(transfer_->fault(), Fault::client_gone);
  EXPECT_GT(client_->polls, 0);
}

TEST_F(TransferTest, SilenceHasItsLimits) {
  struct Case {
    const char* name;
    bool uploads, up_blocked, down_blocked;
    std::chrono::seconds limit;
    const char* text;
  };
  const Case cases[] = {
      {"the client takes nothing", false, false, true, 60s,
       "client took no byte for 1m0s (proxy.limits.stall_timeout)"},
      {"the origin takes nothing", true, true, false, 60s,
       "upstream took no byte for 1m0s (proxy.limits.stall_timeout)"},
      {"the origin sends nothing", false, false, false, 90s,
       "no byte from upstream for 1m30s (proxy.limits.quiet_timeout)"},
      {"neither sends", true, false, false, 90s,
       "no byte from either side for 1m30s (proxy.limits.quiet_timeout)"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    restart();
    if (row.uploads) upload({"ab"}, {"-"});
    upstream_->heads = {"200"};
    head();
    if (row.up_blocked) up_sink_->blocked = 1000;
    if (row.up_blocked) up_source_->coming = {"cdef"};
    down_source_->here = {"1234567890"};
    if (row.down_blocked) down_sink_->blocked = 1;
    advance(1h);  // what was before does not count
    body();
    advance(row.limit - 1s);
    EXPECT_FALSE(done_);
    advance(1s + kTick);
    EXPECT_EQ(state_, State::failed);
    EXPECT_TRUE(transfer_->silent());
    ASSERT_TRUE(done_);
    EXPECT_EQ(down_->problem(), row.text);
    EXPECT_EQ(down_->failure(), BodyMover::Failure::cut);
    EXPECT_EQ(transfer_->fault(), Fault::other);
  }
}

TEST_F(TransferTest, AByteOfEitherSideEndsASilence) {
  for (const bool of_client : {false, true}) {
    restart();
    upload({"ab"}, {"-"});
    upstream_->heads = {"200"};
    head();
    body();
    for (int i = 0; i < 3; ++i) {
      advance(89s);
      ASSERT_FALSE(done_);
      (of_client ? *up_source_ : *down_source_).coming = {"x", "-"};
      wake();
    }
    advance(89s);
    EXPECT_FALSE(done_);
    advance(1s + kTick);
    EXPECT_EQ(state_, State::failed);
    EXPECT_TRUE(transfer_->silent());
  }
}

TEST_F(TransferTest, WhoMayBeSilentIs) {
  quiet_ = policy::Duration::max();
  body();
  advance(10'000h);
  EXPECT_FALSE(done_);
  down_source_->coming = {"1$"};
  wake();
  EXPECT_EQ(state_, State::last_bytes_ready);
}

TEST_F(TransferTest, TheEndOfAllCutsAnAnswer) {
  down_source_->here = {"12"};
  body();
  loop_.begin_drain();
  wake();
  EXPECT_FALSE(done_) << "what is in flight goes on in the drain";
  loop_.cut_all();
  settle();
  EXPECT_EQ(state_, State::failed);
  ASSERT_TRUE(done_);
  EXPECT_EQ(down_->problem(), "shutting down");
  EXPECT_FALSE(transfer_->silent());
  EXPECT_TRUE(trail_.take().ends_with("down.cut"));
}

TEST_F(TransferTest, AnAnswerThatMayBeRefusedBeginsWhenItHasWaitedLongEnough) {
  filtered_ = true;
  filter_->cuts = true;
  down_source_->here = {"12"};
  body();
  EXPECT_EQ(down_sink_->written, "");
  advance(5ms + kTick);
  EXPECT_FALSE(done_);
  EXPECT_EQ(down_sink_->written, "H1") << "which is no silence";
  EXPECT_FALSE(transfer_->silent());
  down_source_->coming = {"3!"};
  wake();
  EXPECT_EQ(state_, State::failed);
  ASSERT_TRUE(done_);
  EXPECT_EQ(down_->problem(), "refused: body");
  EXPECT_EQ(transfer_->fault(), Fault::other);
}

TEST_F(TransferTest, AnAnswerThatIsLostIsTheOrigins) {
  down_source_->here = {"12"};
  down_source_->coming = {"lost"};
  body();
  EXPECT_EQ(state_, State::failed);
  ASSERT_TRUE(done_);
  EXPECT_EQ(down_->problem(), "it is lost");
  EXPECT_EQ(transfer_->fault(), Fault::other);
  EXPECT_TRUE(trail_.take().ends_with("down.cut"));
}

}  // namespace
}  // namespace iron::proxy
