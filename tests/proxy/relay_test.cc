#include "proxy/net/relay.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>

#include "proxy/log/log_writer.h"
#include "tests/proxy/relay_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using test::Link;
using test::ScriptedPeer;

TEST_F(RelayTest, BytesGoBothWaysBehindWhatWasHereBefore) {
  early_ = "early ";
  begin();
  EXPECT_EQ(upstream_->take(), "early ");
  for (const char* part : {"one ", "two "}) {
    client_->send(part);
    upstream_->send(std::string("down ") + part);
    settle();
    EXPECT_EQ(upstream_->take(), part);
    EXPECT_EQ(client_->take(), std::string("down ") + part);
  }
  EXPECT_TRUE(under_way());
  EXPECT_EQ(up_.bytes, 14u);
  EXPECT_EQ(down_.bytes, 18u);
}

TEST_F(RelayTest, ADirectionWithoutBytesHoldsNoBuffer) {
  begin();
  EXPECT_FALSE(up_.buffer.held());
  client_->send("a");
  upstream_->send("b");
  settle();
  EXPECT_EQ(upstream_->take() + client_->take(), "ab");
  EXPECT_FALSE(up_.buffer.held());
  EXPECT_FALSE(down_.buffer.held());
}

TEST_F(RelayTest, AHalfCloseLeavesTheOtherDirectionAlone) {
  for (const bool client_first : {true, false}) {
    begin();
    ScriptedPeer& first = client_first ? *client_ : *upstream_;
    ScriptedPeer& second = client_first ? *upstream_ : *client_;
    first.send("last words");
    first.finish();
    settle();
    EXPECT_EQ(second.received(), "last words") << client_first;
    EXPECT_EQ(second.end(), ScriptedPeer::End::eof) << client_first;
    EXPECT_EQ(first.end(), ScriptedPeer::End::none) << client_first;
    EXPECT_FALSE((client_first ? up_ : down_).buffer.held()) << client_first;
    second.send("and an answer");
    settle();
    EXPECT_EQ(first.received(), "and an answer") << client_first;
    EXPECT_TRUE(under_way()) << client_first;
    second.finish();
    settle();
    ASSERT_FALSE(under_way()) << client_first;
    EXPECT_EQ(ended_->problem, "") << client_first;
    EXPECT_FALSE(ended_->silent) << client_first;
    EXPECT_EQ(first.end(), ScriptedPeer::End::eof) << client_first;
  }
}

TEST_F(RelayTest, WithoutHalfClosesTheFirstEndIsThatOfBoth) {
  rules_.half_close = false;
  begin();
  client_->send("up");
  client_->finish();
  settle();
  EXPECT_EQ(upstream_->received(), "up");
  ASSERT_FALSE(under_way());
  EXPECT_EQ(ended_->problem, "");
}

TEST_F(RelayTest, BehindOneEndTheOtherDirectionHasItsTime) {
  for (const bool client_first : {true, false}) {
    begin();
    ScriptedPeer& first = client_first ? *client_ : *upstream_;
    ScriptedPeer& second = client_first ? *upstream_ : *client_;
    first.finish();
    for (int passed = 0; passed < 59; ++passed) {
      settle();
      advance(1s);
      second.send("x");
    }
    settle();
    EXPECT_TRUE(under_way()) << client_first;
    advance(2s);
    ASSERT_FALSE(under_way()) << "what moves does not prolong it";
    EXPECT_EQ(ended_->problem, "") << client_first;
    EXPECT_EQ(first.received(), std::string(59, 'x')) << client_first;
  }
}

TEST_F(RelayTest, WhoIsNotRelayedByTheClockMayEndLater) {
  rules_.after_end = 0s;
  begin();
  client_->finish();
  advance(1000h);
  upstream_->send("late");
  settle();
  EXPECT_TRUE(under_way());
  EXPECT_EQ(client_->received(), "late");
}

TEST_F(RelayTest, NobodyHasToTalk) {
  begin();
  advance(1000h);
  EXPECT_TRUE(under_way());
}

/// A reader that takes nothing, and a record that is written before its log has room.
class FullPipe {
 public:
  FullPipe() {
    EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK), 0);
    const std::array<char, 4096> page{};
    while (::write(ends_[1], page.data(), page.size()) > 0) {
    }
  }
  ~FullPipe() {
    for (const int end : ends_) ::close(end);
  }
  FullPipe(const FullPipe&) = delete;
  FullPipe& operator=(const FullPipe&) = delete;
  int descriptor() const { return ends_[1]; }
  void drain() const {
    std::array<char, 65536> room;
    while (::read(ends_[0], room.data(), room.size()) > 0) {
    }
  }

 private:
  std::array<int, 2> ends_{};
};

TEST_F(RelayTest, TheRecordIsThereBeforeTheClientIsToldOfTheEnd) {
  const FullPipe stalled;
  LogWriter::Options options;
  options.stderr_fd = stalled.descriptor();
  options.buffer_bytes = 1 << 20;
  options.render_lost = [](std::uint64_t) { return std::string(); };
  std::atomic<bool> full{false};
  LogWriter writer(options, full);
  {
    RecordBatch batch(writer, loop_);
    RecordBatch::Wait recorded(batch);
    int calls = 0;
    std::uint64_t told = 0;
    rules_.before_client_end = [&]() -> RecordBatch::Wait& {
      ++calls;
      told = down_.bytes;
      batch.lines() += "the record\n";
      batch.added(recorded);
      return recorded;
    };
    begin();
    client_->finish();
    settle();
    EXPECT_EQ(calls, 0) << "the upstream has not ended";
    upstream_->send("answer");
    upstream_->finish();
    settle();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(told, 6u) << "all that it counts was sent";
    EXPECT_EQ(client_->received(), "answer");
    EXPECT_EQ(client_->end(), ScriptedPeer::End::none) << "the record has not left";
    advance(RecordBatch::kMostPatience + 20ms);
    EXPECT_EQ(client_->end(), ScriptedPeer::End::eof);
    EXPECT_FALSE(under_way());
    EXPECT_EQ(calls, 1);
  }
  stalled.drain();
}

TEST_F(RelayTest, WhoReadsNothingIsNotReadAheadOf) {
  constexpr std::size_t kMuch = 8 << 20;
  for (const bool up : {true, false}) {
    begin();
    ScriptedPeer& sender = up ? *client_ : *upstream_;
    ScriptedPeer& receiver = up ? *upstream_ : *client_;
    const RelayFlow& flow = up ? up_ : down_;
    receiver.read(false);
    const std::string bytes(kMuch, 'x');
    sender.send(bytes);
    settle();
    EXPECT_EQ(flow.buffer.capacity(), BufferPool::kLarge);
    // What lies between the two is one buffer and what the sockets hold.
    EXPECT_GT(sender.unsent(), kMuch / 2);
    const std::size_t unsent = sender.unsent();
    advance(30s);
    EXPECT_EQ(sender.unsent(), unsent);
    receiver.read(true);
    settle();
    EXPECT_EQ(receiver.received().size(), kMuch);
    EXPECT_EQ(flow.bytes, kMuch);
    EXPECT_FALSE(flow.buffer.held());
  }
}

TEST_F(RelayTest, WhoTakesNothingOfWhatIsThereIsCut) {
  const struct {
    bool up;
    const char* problem;
  } rows[] = {
      {true, "upstream took no byte for 1m0s (proxy.limits.stall_timeout)"},
      {false, "client took no byte for 1m0s (proxy.limits.stall_timeout)"},
  };
  for (const auto& row : rows) {
    begin();
    ScriptedPeer& sender = row.up ? *client_ : *upstream_;
    ScriptedPeer& receiver = row.up ? *upstream_ : *client_;
    advance(1h);  // how long it was quiet before does not count
    receiver.read(false);
    sender.send(std::string(8 << 20, 'x'));
    settle();
    advance(59s);
    EXPECT_TRUE(under_way()) << row.problem;
    // Whoever takes something has as long again.
    receiver.read(true);
    receiver.move();
    receiver.read(false);
    settle();
    advance(59s);
    EXPECT_TRUE(under_way()) << row.problem;
    advance(2s);
    ASSERT_FALSE(under_way()) << row.problem;
    EXPECT_EQ(ended_->problem, row.problem);
    EXPECT_TRUE(ended_->silent);
  }
}

TEST_F(RelayTest, ASilenceBeginsWithTheFirstByteThatFindsNoRoom) {
  begin();
  upstream_->read(false);
  while (up_.buffer.empty() && under_way()) {
    advance(61s);
    client_->send(std::string(4096, 'x'));
    settle();
  }
  EXPECT_TRUE(under_way());
  advance(59s);
  EXPECT_TRUE(under_way());
  advance(2s);
  EXPECT_FALSE(under_way());
}

TEST_F(RelayTest, BehindAnEndThereIsOneDeadlineAlone) {
  begin();
  client_->finish();
  settle();
  advance(30s);
  client_->read(false);
  upstream_->send(std::string(8 << 20, 'x'));
  settle();
  advance(29s);
  EXPECT_TRUE(under_way());
  advance(2s);
  ASSERT_FALSE(under_way());
  EXPECT_EQ(ended_->problem, "");
  EXPECT_FALSE(ended_->silent);
}

TEST_F(RelayTest, AResetEndsIt) {
  const struct {
    bool client;
    const char* problem;
  } rows[] = {{true, "client to upstream failed"}, {false, "upstream to client failed"}};
  for (const auto& row : rows) {
    begin(Link::tcp);
    (row.client ? client_ : upstream_)->reset();
    ASSERT_TRUE(settle_until([&] { return !under_way(); })) << row.problem;
    EXPECT_EQ(ended_->problem, row.problem);
    EXPECT_FALSE(ended_->silent);
  }
}

TEST_F(RelayTest, APeerThatIsGoneTakesNothing) {
  const struct {
    bool client;
    const char* problem;
  } rows[] = {{true, "upstream to client failed"}, {false, "client to upstream failed"}};
  for (const auto& row : rows) {
    begin();
    (row.client ? client_ : upstream_)->close();
    settle();
    EXPECT_TRUE(under_way()) << "it may have ended its side alone";
    (row.client ? upstream_ : client_)->send("more");
    settle();
    ASSERT_FALSE(under_way()) << row.problem;
    EXPECT_EQ(ended_->problem, row.problem);
  }
}

TEST_F(RelayTest, TheDrainLeavesItAloneAndTheCutEndsIt) {
  begin();
  loop_.begin_drain();
  client_->send("up");
  settle();
  EXPECT_EQ(upstream_->received(), "up");
  EXPECT_TRUE(under_way());
  loop_.cut_all();
  settle();
  ASSERT_FALSE(under_way());
  EXPECT_EQ(ended_->problem, "shutting down");
  EXPECT_FALSE(ended_->silent);
}

TEST_F(RelayTest, WhatMayShowAKeyIsWipedOfTheUpstreamAlone) {
  const std::string text = "a secret";
  for (const bool sensitive : {false, true}) {
    rules_.sensitive = sensitive;
    begin();
    (sensitive ? upstream_ : client_)->send(text);
    settle();
    // The block that was used last is lent first.
    const Buffer block = buffers_.take(BufferPool::kLarge);
    const std::string there(block.view().data(), text.size());
    EXPECT_EQ(there, sensitive ? std::string(text.size(), '\0') : text);
    client_->send(text);
    settle();
    EXPECT_EQ(upstream_->received().substr(sensitive ? 0 : text.size()), text);
  }
}

TEST_F(RelayTest, TwoFastPeersLeaveTheOthersTheirTurn) {
  connect();
  client_->send(std::string(4 << 20, 'x'));
  spawn(run());
  std::uint64_t before = 0;
  for (int turn = 0; turn < 20; ++turn) {
    move();
    loop_.turn();
    EXPECT_LE(up_.bytes - before, 128u * 1024 + BufferPool::kLarge) << turn;
    before = up_.bytes;
  }
  EXPECT_GT(before, 0u);
  settle();
  EXPECT_EQ(upstream_->received().size(), std::size_t{4} << 20);
}

}  // namespace
}  // namespace iron::proxy
