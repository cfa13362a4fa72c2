#include "proxy/http1/client_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http1/http1_body.h"
#include "tests/proxy/client_rig.h"
#include "tests/proxy/socket_ends.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using Framing = BodyFraming::Kind;

/// A client on a plain connection, at the other end of which the test sits.
class ClientWatchTest : public ClientRig {
 protected:
  ClientWatchTest() { connect(); }
  /// A new client in the place of the last one.
  void connect() {
    peer_.emplace();
    make_client(peer_->give_away());
  }
  Presence polled(ClientWatch& watch) {
    settle();
    return watch.poll();
  }
  bool abandoned(ClientWatch& watch, std::chrono::nanoseconds later) {
    advance(later);
    return watch.abandoned();
  }
  Task<void> sleep() {
    co_await client_->pause();
    ++woken_;
  }

  std::optional<SocketEnds> peer_;
  int woken_ = 0;
};

enum class Ending {
  none,
  half,    ///< of its side alone
  closed,  ///< of the connection
  reset,   ///< of the connection, with bytes that it did not read
};

TEST_F(ClientWatchTest, TheEndOfItsSideIsAHalfCloseBehindACompleteRequestAlone) {
  struct Case {
    bool complete;
    std::string sent;
    Ending ending;
    Presence presence;
  };
  const Case cases[] = {
      {true, "", Ending::none, Presence::present},
      {true, "", Ending::half, Presence::half_closed},
      {true, "", Ending::closed, Presence::half_closed},  // looks the same from here
      {true, "", Ending::reset, Presence::gone},
      {true, "GET /next", Ending::none, Presence::present},
      {true, "GET /next", Ending::half, Presence::half_closed},
      {true, "GET /next", Ending::reset, Presence::gone},
      {false, "", Ending::none, Presence::present},
      {false, "", Ending::half, Presence::gone},
      {false, "", Ending::closed, Presence::gone},
      {false, "", Ending::reset, Presence::gone},
      {false, "abc", Ending::none, Presence::present},
      {false, "abc", Ending::half, Presence::gone},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message()
                 << row.complete << ' ' << row.sent << ' ' << static_cast<int>(row.ending));
    connect();
    ClientWatch watch(*client_, row.complete);
    peer_->send(row.sent);
    if (row.ending == Ending::reset) {
      EXPECT_EQ(client_->connection().write(std::string_view("unread")).size, 6U);
    }
    if (row.ending == Ending::half) peer_->end_sending();
    if (row.ending >= Ending::closed) peer_->close();
    EXPECT_EQ(polled(watch), row.presence);
    EXPECT_EQ(watch.presence(), row.presence);
    if (row.ending != Ending::reset) EXPECT_EQ(client_->input().view(), row.sent);
    EXPECT_EQ(client_->input().held(), !client_->input().empty()) << "nothing is held for nothing";
    EXPECT_EQ(watch.half_close_deadline(),
              row.presence == Presence::half_closed ? clock_.now() + 5s : SteadyTime::max());
  }
}

TEST_F(ClientWatchTest, AHalfClosedOneIsWaitedForForFiveSeconds) {
  ClientWatch watch(*client_, true);
  EXPECT_FALSE(abandoned(watch, 1h)) << "as long as it is there";
  peer_->end_sending();
  EXPECT_FALSE(abandoned(watch, 1s));
  const SteadyTime deadline = clock_.now() + 5s;
  EXPECT_EQ(watch.half_close_deadline(), deadline);
  EXPECT_FALSE(abandoned(watch, 4s));
  EXPECT_FALSE(abandoned(watch, 999ms));
  EXPECT_EQ(watch.half_close_deadline(), deadline) << "asking does not move it";
  EXPECT_TRUE(abandoned(watch, 1ms));
  EXPECT_EQ(watch.presence(), Presence::half_closed);
}

TEST_F(ClientWatchTest, OneThatIsGoneIsNotWaitedFor) {
  ClientWatch watch(*client_, false);
  EXPECT_FALSE(abandoned(watch, 0s));
  peer_->end_sending();
  EXPECT_TRUE(abandoned(watch, 0s));
  EXPECT_EQ(polled(watch), Presence::gone) << "for good";
}

TEST_F(ClientWatchTest, ARequestMayBecomeCompleteWhileItIsWatched) {
  Http1Body body({client_->connection(), client_->input(), buffers_}, {Framing::length, 5},
                 ChunkLines::of_client);
  ClientWatch watch(*client_, body);
  EXPECT_EQ(polled(watch), Presence::present);
  peer_->send("hello");
  settle();
  std::string_view bytes;
  ASSERT_EQ(body.read(bytes), BodySource::Step::bytes);
  body.consume(bytes.size());
  EXPECT_EQ(polled(watch), Presence::present);
  peer_->end_sending();
  EXPECT_EQ(polled(watch), Presence::half_closed);
}

TEST_F(ClientWatchTest, BytesAndTheEndWakeTheSleeper) {
  ClientWatch watch(*client_, true);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(polled(watch), Presence::present);
    start(sleep(), [](std::exception_ptr) { FAIL(); });
    settle();
    EXPECT_EQ(woken_, i);
    i == 0 ? peer_->send("x") : peer_->end_sending();
    settle();
    EXPECT_EQ(woken_, i + 1);
  }
  EXPECT_EQ(polled(watch), Presence::half_closed);
}

TEST_F(ClientWatchTest, TakesNoMoreThanItsInputHolds) {
  ClientWatch watch(*client_, true);
  const std::string much(BufferPool::kSmall, 'x');
  peer_->send(much + "more");
  peer_->end_sending();
  EXPECT_EQ(polled(watch), Presence::present) << "the end lies behind bytes that do not fit";
  EXPECT_EQ(client_->input().view(), much);
  client_->input().clear();
  EXPECT_EQ(polled(watch), Presence::half_closed);
  EXPECT_EQ(client_->input().view(), "more");
}

TEST_F(ClientWatchTest, ABodyThatIsHereInFullMakesTheRequestComplete) {
  struct Case {
    BodyFraming framing;
    std::string sent;
    Presence presence;
  };
  const Case cases[] = {
      {{Framing::none, 0}, "", Presence::half_closed},
      {{Framing::length, 5}, "hello", Presence::half_closed},
      {{Framing::length, 5}, "hello and the next", Presence::half_closed},
      {{Framing::length, 5}, "hell", Presence::gone},
      {{Framing::length, 5}, "", Presence::gone},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\n\r\n", Presence::half_closed},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\nA: b\r\n\r\n", Presence::half_closed},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\n\r", Presence::gone},
      {{Framing::chunked, 0}, "5\r\nhello\r\n", Presence::gone},
      {{Framing::chunked, 0}, "5\r\nhello\r\nzero", Presence::gone},
      {{Framing::chunked, 0}, "", Presence::gone},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.sent);
    connect();
    const Http1Body body({client_->connection(), client_->input(), buffers_}, row.framing,
                         ChunkLines::of_client);
    ClientWatch watch(*client_, body);
    peer_->send(row.sent);
    EXPECT_EQ(polled(watch), Presence::present);
    peer_->end_sending();
    EXPECT_EQ(polled(watch), row.presence);
    EXPECT_EQ(client_->input().view(), row.sent) << "looking takes nothing";
  }
}

}  // namespace
}  // namespace iron::proxy
