#include <gtest/gtest.h>

#include "proxy/exchange/transfer.h"
#include "tests/proxy/transfer_rig.h"

namespace iron::proxy {
namespace {

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

TEST_F(TransferTest, ARequestThatEndedIsNoPartOfASilence) {
  upload({"ab"}, {"-"});
  upstream_->heads = {"200"};
  head();
  body();
  up_source_->coming = {"c$"};
  wake();
  advance(90s + kTick);
  ASSERT_TRUE(done_);
  EXPECT_EQ(down_->problem(), "no byte from upstream for 1m30s (proxy.limits.quiet_timeout)");
}

TEST_F(TransferTest, WhileTheRecordIsWrittenTheSilenceOfAClientGoesOn) {
  down_source_->here = {"$"};
  down_sink_->holds = true;  // the head is all that leaves
  body();
  EXPECT_EQ(state_, State::last_bytes_ready);
  advance(30s);
  down_sink_->blocked = 100;  // of which there is no room for a byte
  body();
  advance(29s);
  EXPECT_FALSE(done_);
  advance(1s + kTick);
  EXPECT_EQ(state_, State::failed);
  EXPECT_TRUE(transfer_->silent());
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
  // A busy one sees it too.
  restart();
  down_source_->here = Script(100, std::string(64 * 1024, 'x'));
  down_sink_->holds = true;
  begin_body();
  settle();
  EXPECT_EQ(state_, State::failed);
  EXPECT_FALSE(down_source_->here.empty());
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
