#include "proxy/exchange/transfer.h"

#include <gtest/gtest.h>

#include "tests/proxy/transfer_rig.h"

namespace iron::proxy {
namespace {

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
      {"nothing of the request is taken in time",
       {},
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
  for (const char* end : {"c$", "$"}) {
    SCOPED_TRACE(end);
    restart();
    upload({"ab"}, {});
    up_sink_->holds = true;  // nothing is written for an end alone
    head();
    advance(80s);
    up_source_->coming = {end};
    wake();
    advance(29s);
    upstream_->heads = {"+"};
    wake();  // which changes nothing
    EXPECT_FALSE(done_);
    advance(1s + kTick);
    ASSERT_TRUE(done_ && result_->has_error());
    EXPECT_EQ(result_->error().fault, Fault::header_timeout);
  }
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

}  // namespace
}  // namespace iron::proxy
