#include <gtest/gtest.h>

#include <chrono>
#include <string_view>

#include "tests/proxy/relay_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using Verdict = FirstBytes::Verdict;

/// Passes what begins with `ok`, and refuses what cannot any more.
struct Gate final : FirstBytes {
  Verdict judge(std::string_view bytes, bool ended, SteadyTime now) override {
    if (first == SteadyTime::max() && !bytes.empty()) first = now;
    if (bytes.starts_with("ok")) return Verdict::pass;
    return !ended && (bytes.empty() || bytes == "o") ? Verdict::wait : Verdict::refuse;
  }
  SteadyTime deadline() const override { return later(first, 5s); }
  void expire() override { ++expired; }
  SteadyTime first = SteadyTime::max();
  int expired = 0;
};

class RelayWithGate : public RelayTest {
 protected:
  RelayWithGate() { first_bytes_ = &gate_; }
  Gate gate_;
};

TEST_F(RelayWithGate, NothingPassesBeforeItIsJudged) {
  begin();
  upstream_->send("hello");
  client_->send("o");
  settle();
  EXPECT_EQ(client_->received(), "hello") << "the other direction is not judged";
  EXPECT_EQ(upstream_->received(), "");
  EXPECT_EQ(up_.first_bytes, &gate_);
  client_->send("k, and more");
  settle();
  EXPECT_EQ(upstream_->received(), "ok, and more");
  EXPECT_EQ(up_.first_bytes, nullptr);
  advance(10s);
  EXPECT_TRUE(under_way());
  EXPECT_EQ(gate_.expired, 0);
}

TEST_F(RelayWithGate, WhatIsRefusedGoesNowhere) {
  for (const bool ends : {false, true}) {
    begin();
    client_->send(ends ? "o" : "no");
    if (ends) client_->finish();
    settle();
    ASSERT_FALSE(under_way());
    EXPECT_EQ(ended_->problem, "client to upstream failed");
    EXPECT_EQ(upstream_->received(), "");
    EXPECT_EQ(up_.bytes, 0u);
  }
}

TEST_F(RelayWithGate, NothingOfABeginningThatBreaksOffGoesOn) {
  begin(test::Link::tcp);
  client_->send("o");
  ASSERT_TRUE(settle_until([&] { return up_.buffer.size() == 1; }));
  client_->reset();
  ASSERT_TRUE(settle_until([&] { return !under_way(); }));
  EXPECT_EQ(ended_->problem, "client to upstream failed");
  EXPECT_EQ(upstream_->received(), "");
}

TEST_F(RelayWithGate, ABeginningBehindTheOtherEndDoesNotShortenItsTime) {
  begin();
  upstream_->finish();
  settle();
  client_->send("o");
  settle();
  client_->send("k");
  settle();
  EXPECT_EQ(upstream_->received(), "ok");
  advance(59s);
  EXPECT_TRUE(under_way());
  advance(1s + 20ms);
  EXPECT_FALSE(under_way());
}

TEST_F(RelayWithGate, ABeginningWithoutAnEndHasItsDeadline) {
  begin();
  advance(1h);
  EXPECT_TRUE(under_way()) << "nothing has come";
  EXPECT_FALSE(up_.buffer.held());
  client_->send("o");
  settle();
  advance(4s);
  upstream_->send("hello");
  settle();
  EXPECT_TRUE(under_way());
  advance(1s + 20ms);
  ASSERT_FALSE(under_way());
  EXPECT_EQ(gate_.expired, 1);
  EXPECT_EQ(ended_->problem, "client to upstream failed");
}

}  // namespace
}  // namespace iron::proxy
