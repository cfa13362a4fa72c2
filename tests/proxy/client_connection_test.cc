#include "proxy/net/client_connection.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/proxy/client_rig.h"
#include "tests/proxy/scripted_peer.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using test::Link;
using test::ScriptedPeer;

constexpr std::size_t kSmall = BufferPool::kSmall, kLarge = BufferPool::kLarge;

/// A client's connection, at the other end of which the test sits.
class ClientConnectionTest : public ClientRig {
 protected:
  ClientConnectionTest() : ClientRig(Level::debug) {}
  ~ClientConnectionTest() override {
    loop_.cut_all();
    settle();
  }
  void connect(Link link = Link::local, int room = 0) {
    const test::SocketPair pair(link);
    if (room > 0) ::setsockopt(pair.session, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    descriptor_ = pair.session;
    peer_ = std::make_unique<ScriptedPeer>(pair.peer);
    make_client(descriptor_, Entry::tunnel, {policy::IpAddress::v4({192, 0, 2, 7}), 5000});
    client_->set_stall_timeout(60s);
  }
  void settle() {
    while (loop_.turn() || (peer_ != nullptr && peer_->move())) {
    }
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  void send(std::string_view bytes) {
    peer_->send(bytes);
    settle();
  }
  std::string_view input() { return client_->input().view(); }

  void await_bytes(policy::Duration timeout = 45s) {
    arrived_.reset();
    spawn(wait(timeout));
    settle();
  }
  Task<void> wait(policy::Duration timeout) { arrived_ = co_await client_->await_bytes(timeout); }
  /// Reads until that needs something to happen.
  void read_more(std::size_t limit) {
    read_.reset();
    spawn(read(limit));
    settle();
  }
  Task<void> read(std::size_t limit) { read_ = co_await client_->read_more(limit); }
  void write(std::string bytes) {
    sent_.reset();
    spawn(send_all(std::move(bytes)));
    settle();
  }
  Task<void> send_all(std::string bytes) { sent_ = co_await client_->send(bytes); }
  void finish() {
    spawn(finish_and_tell());
    settle();
  }
  Task<void> finish_and_tell() {
    co_await client_->finish(closes_);
    finished_ = true;
  }

  ClosesUnderWay closes_;
  std::unique_ptr<ScriptedPeer> peer_;
  int descriptor_ = -1;
  std::optional<bool> arrived_, sent_;
  std::optional<Io> read_;
  bool finished_ = false;
};

TEST_F(ClientConnectionTest, WaitsForBytesWithoutABuffer) {
  connect();
  await_bytes();
  EXPECT_FALSE(arrived_.has_value());
  EXPECT_FALSE(client_->input().held());
  send("abc");
  EXPECT_EQ(arrived_, true);
  EXPECT_EQ(input(), "abc");
  EXPECT_EQ(client_->input().capacity(), kSmall);
  // What is here already is not waited for, and nothing is read behind it.
  send("def");
  await_bytes();
  EXPECT_EQ(arrived_, true);
  EXPECT_EQ(input(), "abc");
  advance(1h);
  EXPECT_FALSE(client_->pause().expired()) << "no deadline is left behind";
}

TEST_F(ClientConnectionTest, AWaitForBytesEndsWithoutThem) {
  enum class Event { time, drain, cut, end, reset };
  const struct {
    const char* name;
    Event event;
    bool broke;
  } rows[] = {
      {"its deadline", Event::time, false},
      {"the drain", Event::drain, false},
      {"the end of its side", Event::end, false},
      {"a reset", Event::reset, true},
      {"the cut", Event::cut, false},
  };
  for (const auto& row : rows) {
    connect(row.event == Event::reset ? Link::tcp : Link::local);
    client_->pause().yield_to_drain(true);
    if (loop_.draining()) client_->pause().yield_to_drain(false);
    await_bytes(45s);
    advance(44s);
    EXPECT_FALSE(arrived_.has_value()) << row.name;
    EXPECT_FALSE(client_->input().held()) << row.name;
    if (row.event == Event::time) advance(1s + 20ms);
    if (row.event == Event::drain) loop_.begin_drain();
    if (row.event == Event::cut) loop_.cut_all();
    if (row.event == Event::end) peer_->finish();
    if (row.event == Event::reset) {
      peer_->reset();
      ::pollfd there{descriptor_, POLLIN, 0};
      ASSERT_EQ(::poll(&there, 1, 5000), 1);
    }
    settle();
    EXPECT_EQ(arrived_, false) << row.name;
    EXPECT_EQ(client_->broke(), row.broke) << row.name;
  }
}

TEST_F(ClientConnectionTest, ReadsMoreUpToItsLimit) {
  constexpr std::size_t kLimit = 200'000;
  connect();
  std::string bytes(kLimit + 100, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>('a' + i % 23);
  peer_->send(bytes);
  std::size_t capacity = 0;
  std::string capacities;
  while (true) {
    read_more(kLimit);
    if (read_ != Io::ok) break;
    if (std::exchange(capacity, client_->input().capacity()) != client_->input().capacity()) {
      capacities += std::to_string(client_->input().capacity()) + " ";
    }
  }
  EXPECT_EQ(read_, Io::error);
  EXPECT_EQ(capacities, "16384 65536 200000 ");
  EXPECT_EQ(input(), std::string_view(bytes).substr(0, kLimit));
  client_->input().consume(kLimit);
  read_more(kLimit);
  EXPECT_EQ(read_, Io::ok);
  EXPECT_EQ(input(), std::string_view(bytes).substr(kLimit)) << "the rest was left to the kernel";
}

TEST_F(ClientConnectionTest, WhatIsLargeComesOutOfTheBudget) {
  connect();
  budget_.set_limit(1 << 20);
  ASSERT_TRUE(budget_.take((1 << 20) - 4 * kLarge + 1));  // a byte too few is left
  peer_->send(std::string(1 << 20, 'x'));
  do {
    read_more(1 << 20);
  } while (read_ == Io::ok);
  EXPECT_EQ(read_, Io::error);
  EXPECT_EQ(client_->input().capacity(), kLarge);
  budget_.give_back(1);
  read_more(1 << 20);
  EXPECT_EQ(read_, Io::ok);
  EXPECT_EQ(client_->input().capacity(), 4 * kLarge);
  EXPECT_FALSE(budget_.take(1));
  // An idle connection gives it back.
  client_->input().release();
  await_bytes();
  EXPECT_EQ(arrived_, true);
  EXPECT_TRUE(budget_.take(4 * kLarge));
}

TEST_F(ClientConnectionTest, AReadSaysHowItEnded) {
  connect();
  read_more(kLarge);
  EXPECT_FALSE(read_.has_value());
  peer_->finish();
  settle();
  EXPECT_EQ(read_, Io::eof);
  connect();
  client_->pause().set_timeout(5s);
  read_more(kLarge);
  advance(5s + 20ms);
  EXPECT_EQ(read_, Io::error);
  EXPECT_TRUE(client_->pause().expired());
}

TEST_F(ClientConnectionTest, SendsAllOfItAsTheClientReads) {
  connect(Link::local, 1);
  const std::string bytes(1 << 20, 'x');
  peer_->read(false);
  write(bytes);
  EXPECT_FALSE(sent_.has_value());
  // Each stretch of silence has its time.
  for (int i = 0; i < 3; ++i) {
    advance(59s);
    EXPECT_FALSE(sent_.has_value());
    peer_->read(true);
    peer_->move();
    peer_->read(false);
    settle();
  }
  peer_->read(true);
  settle();
  EXPECT_EQ(sent_, true);
  EXPECT_EQ(peer_->received(), bytes);
  advance(1h);
  EXPECT_FALSE(client_->pause().expired());
}

TEST_F(ClientConnectionTest, AClientThatTakesNothingOrIsGoneGetsNoMore) {
  connect(Link::local, 1);
  peer_->read(false);
  write(std::string(1 << 20, 'x'));
  advance(60s + 20ms);
  EXPECT_EQ(sent_, false);
  connect();
  peer_->close();
  write("x");
  EXPECT_EQ(sent_, false);
}

TEST_F(ClientConnectionTest, NoByteOvertakesARecord) {
  connect();
  Refusal refusal;
  refusal.error = "malformed request";
  // Two requests share a write at the end of the turn.
  recorder_->batch().request_began();
  recorder_->batch().request_began();
  client_->record_refusal(refusal);
  sent_.reset();
  spawn(send_all("answer"));
  peer_->move();
  EXPECT_EQ(peer_->received(), "");
  EXPECT_EQ(records_.take(), "");
  settle();
  EXPECT_EQ(sent_, true);
  EXPECT_EQ(peer_->received(), "answer");
  EXPECT_NE(records_.take(), "");
}

TEST_F(ClientConnectionTest, WhatIsSentDoesNotWaitForMore) {
  connect(Link::tcp);
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  ASSERT_EQ(::getsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
  EXPECT_EQ(no_delay, 1);
}

TEST_F(ClientConnectionTest, EndsGentlyWhereThatWasAsked) {
  connect(Link::tcp);  // what comes is thrown away, which local sockets do not know
  finish();
  EXPECT_TRUE(finished_);
  EXPECT_FALSE(client_->closes_gently());
  EXPECT_EQ(peer_->end(), ScriptedPeer::End::none) << "nobody asked";

  finished_ = false;
  client_->take_input(kSmall);
  client_->pause().set_timeout(1s);
  client_->pause().yield_to_drain(true);
  client_->close_gently();
  EXPECT_TRUE(client_->closes_gently());
  loop_.begin_drain();
  finish();
  EXPECT_EQ(peer_->end(), ScriptedPeer::End::eof);
  EXPECT_FALSE(client_->input().held());
  send("late");
  advance(1900ms);
  EXPECT_FALSE(finished_) << "neither a deadline of before nor the drain ends it";
  advance(200ms);
  EXPECT_TRUE(finished_);
}

TEST_F(ClientConnectionTest, AnIdleOneEndsAsSoonAsItsClientHasAll) {
  connect();
  client_->close_gently(CloseClock::After::idling);
  finish();
  advance(100ms);
  EXPECT_TRUE(finished_);
}

TEST_F(ClientConnectionTest, TheRecordIsThereBeforeItsEnd) {
  connect();
  recorder_->batch().request_began();
  recorder_->batch().request_began();
  client_->record_refusal({});
  client_->close_gently();
  spawn(finish_and_tell());
  peer_->move();
  EXPECT_EQ(peer_->end(), ScriptedPeer::End::none);
  settle();
  EXPECT_EQ(peer_->end(), ScriptedPeer::End::eof);
}

TEST_F(ClientConnectionTest, ALongSleepIsCountedOnce) {
  connect();
  await_bytes(1h);
  EXPECT_EQ(released_, 0u);
  for (int i = 0; i < 10; ++i) advance(1s);
  EXPECT_EQ(released_, 1u);
  send("abc");
  client_->input().release();
  await_bytes(1h);
  for (int i = 0; i < 10; ++i) advance(1s);
  EXPECT_EQ(released_, 2u);
}

}  // namespace
}  // namespace iron::proxy
