#include <gtest/gtest.h>

#include "proxy/exchange/transfer.h"
#include "tests/proxy/transfer_rig.h"

namespace iron::proxy {
namespace {

TEST_F(TransferTest, OthersHaveTheirTurn) {
  struct Case {
    std::size_t part, before_turn, in_turn;
  };
  const Case cases[] = {{64 * 1024, 2, 2}, {128 * 1024, 1, 1}, {128 * 1024 - 3, 2, 2}, {1, 15, 16}};
  for (const Case& row : cases) {
    SCOPED_TRACE(row.part);
    restart();
    upstream_->part = row.part;
    upstream_->heads = Script(40, "+");
    upstream_->heads.push_back("200");
    begin_head();
    // The request was a step of two bytes, too.
    EXPECT_EQ(41 - upstream_->heads.size(), row.before_turn);
    loop_.turn();
    EXPECT_EQ(41 - upstream_->heads.size(), row.before_turn + row.in_turn);
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
    loop_.turn();
    EXPECT_GE(sink.written.size() - moved, 100'000U) << "the next turn is as long";
    settle();
    EXPECT_GE(sink.written.size(), 20 * piece.size());
    EXPECT_FALSE(done_) << "there is no end yet";
  }
}

TEST_F(TransferTest, ATurnBeginsBehindASleep) {
  upstream_->part = 64 * 1024;
  upstream_->heads = {"+", "-", "+", "+", "+", "-"};
  head();
  EXPECT_EQ(upstream_->heads.size(), 4U) << "half a turn, and it sleeps";
  client_->pause().wake();
  loop_.turn();
  EXPECT_EQ(upstream_->heads.size(), 2U);
  restart();
  const std::string piece(64 * 1024, 'x');
  down_source_->here = {piece};
  down_sink_->holds = true;
  body();
  EXPECT_EQ(down_sink_->written.size(), 1 + piece.size()) << "more than half a turn";
  const std::string smaller(40'000, 'x');  // counts twice: it comes, and it leaves
  down_source_->coming = {smaller, smaller, smaller};
  client_->pause().wake();
  loop_.turn();
  EXPECT_EQ(down_source_->all_arrived, 2 * smaller.size());
}

/// Where the turn ends is no matter of what the request has left.
TEST_F(TransferTest, TheLastPieceOfARequestLeavesInAnyTurn) {
  for (int interims = 0; interims <= 15; ++interims) {
    for (int pieces = 1; pieces <= 8; ++pieces) {
      SCOPED_TRACE(testing::Message() << interims << " interim answers, pieces: " << pieces);
      restart();
      Script here(static_cast<std::size_t>(pieces), "x");
      here.back() = "x$";
      upload(std::move(here), {});
      up_sink_->holds = true;
      up_sink_->blocked = 1000;  // the origin takes nothing yet
      upstream_->heads.assign(static_cast<std::size_t>(interims), "103");
      upstream_->heads.push_back("200");
      head();
      ASSERT_TRUE(done_ && result_->has_value());
      up_sink_->blocked = 0;
      body();  // of which nothing has come
      EXPECT_FALSE(up_sink_->has_pending());
      EXPECT_TRUE(up_sink_->ended);
    }
  }
}

}  // namespace
}  // namespace iron::proxy
