#include "proxy/net/closing.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "proxy/net/connection.h"
#include "tests/proxy/scripted_peer.h"
#include "tests/proxy/wait_rig.h"

namespace iron::proxy {
namespace {

using std::chrono::milliseconds;
using After = CloseClock::After;
const SteadyTime kBegin{std::chrono::hours(1)};

SteadyTime at(int milliseconds_later) { return kBegin + milliseconds(milliseconds_later); }

TEST(CloseClock, EndsTwoSecondsAfterTheLastByteOnceAllIsAcknowledged) {
  CloseClock clock(After::answer, kBegin);
  EXPECT_FALSE(clock.over(at(0), true));
  EXPECT_FALSE(clock.over(at(1999), true));
  clock.received(at(1999));
  EXPECT_FALSE(clock.over(at(3998), true));
  EXPECT_TRUE(clock.over(at(3999), true));
}

TEST(CloseClock, WaitsForTheAcknowledgementFirst) {
  CloseClock clock(After::answer, kBegin);
  EXPECT_FALSE(clock.over(at(5000), false));
  EXPECT_FALSE(clock.over(at(5050), true));
  EXPECT_FALSE(clock.over(at(7049), true));
  EXPECT_TRUE(clock.over(at(7050), true));
}

TEST(CloseClock, IsBoundedInAll) {
  CloseClock writes(After::answer, kBegin), silent(After::answer, kBegin);
  for (int now = 0; now < 15'000; now += 500) {
    writes.received(at(now));
    EXPECT_FALSE(writes.over(at(now), true)) << now;
    EXPECT_FALSE(silent.over(at(now), false)) << now;
  }
  EXPECT_TRUE(writes.over(at(15'000), true));
  EXPECT_TRUE(silent.over(at(15'000), false));
}

TEST(CloseClock, OfAnIdleConnectionNeedsTheAcknowledgementAlone) {
  CloseClock clock(After::idling, kBegin);
  EXPECT_FALSE(clock.over(at(500), false));
  EXPECT_TRUE(clock.over(at(550), true));
}

TEST(CloseClock, IsAskedAgainInTime) {
  CloseClock clock(After::answer, kBegin);
  EXPECT_FALSE(clock.over(at(0), false));
  EXPECT_LE(clock.next_look(at(0)), at(250)) << "nothing tells of an acknowledgement";
  EXPECT_FALSE(clock.over(at(1000), true));
  EXPECT_EQ(clock.next_look(at(1000)), at(3000));
  clock.received(at(14'500));
  EXPECT_EQ(clock.next_look(at(14'500)), at(15'000));
}

using namespace std::chrono_literals;

/// One close and its client, over TCP: what comes is thrown away, which local sockets do not know.
struct Closing {
  explicit Closing(EventLoop& loop,
                   const test::SocketPair& pair = test::SocketPair(test::Link::tcp))
      : client(pair.peer), pause(loop), connection(loop, pair.session) {
    connection.set_pause(&pause);
  }
  test::ScriptedPeer client;
  Pause pause;
  Connection connection;
  bool over = false;
};

class LingerTest : public WaitTest {
 protected:
  ~LingerTest() override {
    loop_.cut_all();
    settle();
  }
  void settle() {
    bool moved = true;
    while (moved) {
      moved = loop_.turn();
      for (Closing& closing : all_) moved |= closing.client.move();
    }
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  /// For what goes through the kernel.
  template <class Done>
  bool settle_until(Done done) {
    const auto limit = std::chrono::steady_clock::now() + 5s;
    do {
      settle();
      if (done()) return true;
      ::poll(nullptr, 0, 1);
    } while (std::chrono::steady_clock::now() < limit);
    return false;
  }
  Closing& close(After after = After::answer, std::string_view answer = "", bool reads = true) {
    Closing& closing = all_.emplace_back(loop_);
    closing.client.read(reads);
    while (!answer.empty()) {
      const IoResult sent = closing.connection.write(answer);
      if (sent.status != Io::ok) break;
      answer.remove_prefix(sent.size);
    }
    spawn(run(closing, after));
    settle();
    return closing;
  }
  Task<void> run(Closing& closing, After after) {
    co_await linger(closing.connection, closing.pause, after, closes_);
    closing.over = true;
  }
  /// The client's system has everything, and the close has noticed.
  bool acknowledged(Closing& closing) {
    const bool done = settle_until([&] { return closing.connection.stream().all_acknowledged(); });
    advance(50ms);
    return done;
  }

  ClosesUnderWay closes_;
  std::deque<Closing> all_;
};

TEST_F(LingerTest, OurSideEndsBehindTheAnswerAndTheClientHasItsSay) {
  Closing& closing = close(After::answer, "answer");
  closing.client.send(std::string(1'000'000, 'x'));
  EXPECT_TRUE(settle_until([&] { return closing.client.unsent() == 0; }));
  EXPECT_EQ(closing.client.received(), "answer");
  EXPECT_EQ(closing.client.end(), test::ScriptedPeer::End::eof);
  EXPECT_FALSE(closing.over);
  closing.client.finish();
  EXPECT_TRUE(settle_until([&] { return closing.over; }));
}

TEST_F(LingerTest, EndsWithAClientThatIsGone) {
  Closing& closing = close();
  closing.client.reset();
  EXPECT_TRUE(settle_until([&] { return closing.over; }));
}

TEST_F(LingerTest, AClientThatHasAllHasTwoSecondsFromItsLastByte) {
  Closing& closing = close(After::answer, "answer");
  ASSERT_TRUE(acknowledged(closing));
  advance(1900ms);
  EXPECT_FALSE(closing.over);
  closing.client.send("x");
  ASSERT_TRUE(settle_until([&] { return !closing.client.in_flight(); }));
  advance(1900ms);
  EXPECT_FALSE(closing.over);
  advance(200ms);
  EXPECT_TRUE(closing.over);
}

TEST_F(LingerTest, AnIdleClientIsNotWaitedForOnceItsSystemHasAll) {
  Closing& closing = close(After::idling, "answer");
  EXPECT_TRUE(acknowledged(closing));
  EXPECT_TRUE(closing.over);
  Closing& full = close(After::idling, std::string(32 << 20, 'x'), false);
  advance(5s);
  EXPECT_FALSE(full.over) << "it does not read, and its system has no room";
  full.client.read(true);
  EXPECT_TRUE(acknowledged(full));
  EXPECT_TRUE(full.over);
}

TEST_F(LingerTest, NobodyHasMoreThanFifteenSeconds) {
  Closing& reads_nothing = close(After::answer, std::string(32 << 20, 'x'), false);
  Closing& writes = close();
  for (int second = 0; second < 14; ++second) {
    writes.client.send("x");
    ASSERT_TRUE(settle_until([&] { return !writes.client.in_flight(); }));
    advance(1s);
  }
  EXPECT_FALSE(reads_nothing.over);
  EXPECT_FALSE(writes.over);
  advance(1100ms);
  EXPECT_TRUE(reads_nothing.over);
  EXPECT_TRUE(writes.over);
}

TEST_F(LingerTest, TheCutEndsIt) {
  Closing& closing = close();
  loop_.begin_drain();
  settle();
  EXPECT_FALSE(closing.over);
  loop_.cut_all();
  settle();
  EXPECT_TRUE(closing.over);
}

TEST_F(LingerTest, AFastClientLeavesTheOthersTheirTurn) {
  Closing& closing = close();
  // More than one turn takes.
  closing.client.send(std::string(1'000'000, 'x'));
  while (closing.client.move()) {
  }
  ASSERT_TRUE(closing.client.unsent() < 500'000);
  int rounds = 0;
  while (loop_.turn()) {
    ++rounds;
    while (closing.client.move()) {
    }
  }
  EXPECT_GT(rounds, 4);
  EXPECT_FALSE(closing.over);
}

TEST_F(LingerTest, AtMostATenthOfAllConnectionsAreClosing) {
  closes_.set_limit(30);
  for (int i = 0; i < 3; ++i) close();
  const auto over = [this] {
    std::vector<bool> all;
    for (const Closing& closing : all_) all.push_back(closing.over);
    return all;
  };
  EXPECT_EQ(over(), (std::vector<bool>{false, false, false}));
  close();
  EXPECT_EQ(over(), (std::vector<bool>{true, false, false, false})) << "the oldest is cut";
  all_[2].client.finish();
  EXPECT_TRUE(settle_until([this] { return all_[2].over; }));
  close();
  EXPECT_EQ(over(), (std::vector<bool>{true, false, true, false, false})) << "a place was free";
  close();
  EXPECT_EQ(over(), (std::vector<bool>{true, true, true, false, false, false}));
}

TEST_F(LingerTest, OneMayCloseHoweverFewConnectionsThereMayBe) {
  closes_.set_limit(1);
  Closing& first = close();
  EXPECT_FALSE(first.over);
  close();
  EXPECT_TRUE(first.over);
}

TEST_F(LingerTest, AnotherLoopsCloseIsCutToo) {
  closes_.set_limit(1);
  EventLoop other_loop(clock_);
  Closing other(other_loop);
  spawn(run(other, After::answer));
  other_loop.turn();
  close();
  EXPECT_FALSE(other.over) << "its own loop has not turned";
  while (other_loop.turn()) {
  }
  EXPECT_TRUE(other.over);
}

}  // namespace
}  // namespace iron::proxy
