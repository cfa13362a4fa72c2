#include "proxy/http1/http1_body.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/wait/event_loop.h"
#include "tests/proxy/manual_clock.h"
#include "tests/proxy/socket_ends.h"

namespace iron::proxy {
namespace {

using Step = BodySource::Step;
using From = BodySource::From;
using Ahead = BodySource::Ahead;
using Framing = BodyFraming::Kind;

constexpr std::string_view kChunked = "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n";

/// A body that comes by a plain connection, at the other end of which the test sits.
class Http1BodyTest : public testing::Test {
 protected:
  /// A new connection, behind whose head `buffered` has come with it.
  Http1Body& open(const BodyFraming& framing, std::string_view buffered = {}) {
    body_.reset();
    connection_.reset();
    peer_.emplace();
    connection_.emplace(loop_, peer_->give_away());
    connection_->set_pause(&pause_);
    input_.release();
    if (!buffered.empty()) {
      input_ = buffers_.take(BufferPool::kSmall);
      input_.append(buffered);
    }
    body_.emplace(Http1Body::Place{*connection_, input_, buffers_}, framing, ChunkLines::of_client);
    return *body_;
  }
  void settle() {
    while (loop_.turn()) {
    }
  }
  void come(std::string_view bytes) {
    peer_->send(bytes);
    settle();
  }
  void end_sending() {
    peer_->end_sending();
    settle();
  }
  /// Reads and consumes until something else than bytes is there.
  Step read_on(std::string& data) {
    std::string_view bytes;
    Step step = Step::bytes;
    while ((step = body_->read(bytes)) == Step::bytes) {
      data += bytes;
      body_->consume(bytes.size());
    }
    return step;
  }
  Task<void> sleep() {
    co_await pause_;
    ++woken_;
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  Pause pause_{loop_};
  BufferPool buffers_;
  Buffer input_;
  std::optional<SocketEnds> peer_;
  std::optional<Connection> connection_;
  std::optional<Http1Body> body_;
  int woken_ = 0;
};

struct Whole {
  const char* name;
  BodyFraming framing;
  std::string sent, data, left;  ///< `left` belongs to the next message
};

std::vector<Whole> whole_bodies() {
  return {
      {"none", {Framing::none, 0}, "next", "", "next"},
      {"length of 0", {Framing::length, 0}, "next", "", "next"},
      {"length", {Framing::length, 5}, "hello", "hello", ""},
      {"length, next message", {Framing::length, 5}, "hellonext", "hello", "next"},
      {"chunked", {Framing::chunked, 0}, std::string(kChunked), "hello world", ""},
      {"chunked, next message",
       {Framing::chunked, 0},
       std::string(kChunked) + "next",
       "hello world",
       "next"},
      {"chunked of nothing", {Framing::chunked, 0}, "0\r\n\r\n", "", ""},
      {"until close", {Framing::until_close, 0}, "hello", "hello", ""},
      {"until close, of nothing", {Framing::until_close, 0}, "", "", ""},
  };
}

TEST_F(Http1BodyTest, IsTheSameHoweverItsBytesCome) {
  for (const Whole& row : whole_bodies()) {
    for (std::size_t at = 0; at <= row.sent.size(); ++at) {
      SCOPED_TRACE(testing::Message() << row.name << ", cut at " << at);
      Http1Body& body = open(row.framing, row.sent.substr(0, at));
      std::string data;
      Step step = read_on(data);
      const std::size_t own = row.sent.size() - row.left.size();
      std::string left = row.left.substr(0, at - std::min(at, own));
      if (step == Step::blocked) {
        come(row.sent.substr(at));
        step = read_on(data);
        left = row.left;
      }
      if (row.framing.kind == Framing::until_close) {
        EXPECT_EQ(step, Step::blocked);
        EXPECT_FALSE(body.done());
        end_sending();
        step = read_on(data);
      }
      EXPECT_EQ(step, Step::ended);
      EXPECT_TRUE(body.done());
      EXPECT_EQ(data, row.data);
      EXPECT_EQ(body.size(), row.data.size());
      EXPECT_EQ(body.remaining(), 0U);
      EXPECT_EQ(body.problem(), "");
      EXPECT_EQ(input_.view(), left);
    }
  }
}

TEST_F(Http1BodyTest, IsReadByteByByte) {
  for (const Whole& row : whole_bodies()) {
    if (row.framing.kind == Framing::none || row.framing.kind == Framing::until_close) continue;
    SCOPED_TRACE(row.name);
    Http1Body& body = open(row.framing);
    const std::string own = row.sent.substr(0, row.sent.size() - row.left.size());
    std::string data;
    for (const char byte : own) {
      EXPECT_EQ(read_on(data), Step::blocked);
      come({&byte, 1});
    }
    EXPECT_EQ(read_on(data), Step::ended);
    EXPECT_EQ(data, row.data);
    EXPECT_EQ(body.take_arrived(), own.size()) << "framing included";
    EXPECT_EQ(body.take_arrived(), 0U);
  }
}

TEST_F(Http1BodyTest, WhatIsHereIsReadWithoutAskingTheConnection) {
  Http1Body& body = open({Framing::length, 10}, "hello");
  come("world");
  std::string_view bytes;
  ASSERT_EQ(body.read(bytes, From::here), Step::bytes);
  EXPECT_EQ(bytes, "hello");
  body.consume(5);
  EXPECT_FALSE(body.buffered());
  EXPECT_EQ(body.read(bytes, From::here), Step::blocked);
  EXPECT_EQ(body.take_arrived(), 0U);
  EXPECT_EQ(body.remaining(), 5U);
  ASSERT_EQ(body.read(bytes, From::peer), Step::bytes);
  EXPECT_EQ(bytes, "world");
  EXPECT_EQ(body.take_arrived(), 5U);
  body.consume(5);
  EXPECT_EQ(body.read(bytes, From::here), Step::ended);
}

TEST_F(Http1BodyTest, AReadFromHereArmsNothing) {
  for (const From from : {From::here, From::peer}) {
    Http1Body& body = open({Framing::length, 5});
    woken_ = 0;
    std::string_view bytes;
    EXPECT_EQ(body.read(bytes, from), Step::blocked);
    start(sleep(), [](std::exception_ptr) { FAIL(); });
    come("hello");
    EXPECT_EQ(woken_, from == From::peer ? 1 : 0);
    pause_.wake();
    settle();
    EXPECT_EQ(woken_, 1);
  }
}

TEST_F(Http1BodyTest, AnEndIsNotSeenFromHere) {
  Http1Body& body = open({Framing::until_close, 0});
  end_sending();
  std::string_view bytes;
  EXPECT_EQ(body.read(bytes, From::here), Step::blocked);
  EXPECT_FALSE(body.done());
  EXPECT_EQ(body.read(bytes, From::peer), Step::ended);
  EXPECT_TRUE(body.done());
}

TEST_F(Http1BodyTest, WhatIsNotConsumedStays) {
  for (const BodyFraming& framing :
       {BodyFraming{Framing::length, 5}, BodyFraming{Framing::chunked, 0},
        BodyFraming{Framing::until_close, 0}}) {
    const bool chunked = framing.kind == Framing::chunked;
    const std::string whole = chunked ? "5\r\nhello\r\n0\r\n\r\n" : "hello";
    Http1Body& body = open(framing, whole);
    const char* const first = input_.data() + (chunked ? 3 : 0);
    std::string_view bytes;
    for (std::size_t done = 0; done < 5; ++done) {
      ASSERT_EQ(body.read(bytes), Step::bytes);
      EXPECT_EQ(bytes, std::string_view("hello").substr(done));
      EXPECT_EQ(bytes.data(), first + done) << "nothing is copied";
      EXPECT_EQ(body.size(), 5U) << "counted when it is read";
      EXPECT_TRUE(body.buffered());
      EXPECT_EQ(input_.view(), whole) << "the block is not used for anything else";
      body.consume(1);
    }
    EXPECT_EQ(body.buffered(), chunked) << "its last chunk";
  }
}

TEST_F(Http1BodyTest, WhatIsDroppedCountsAsRead) {
  Http1Body& body = open({Framing::chunked, 0}, "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n");
  std::string_view bytes;
  body.drop();
  ASSERT_EQ(body.read(bytes), Step::bytes);
  EXPECT_EQ(bytes, "hello");
  body.consume(2);
  body.drop();
  ASSERT_EQ(body.read(bytes), Step::bytes);
  EXPECT_EQ(bytes, "you");
  body.drop();
  EXPECT_EQ(body.read(bytes), Step::ended);
  EXPECT_EQ(body.size(), 8U);
  EXPECT_TRUE(input_.empty());
}

TEST_F(Http1BodyTest, LooksAheadOfWhatIsNotConsumed) {
  struct Case {
    BodyFraming framing;
    std::string here;
    std::size_t consumed;  ///< of the first piece
    Ahead ahead;
  };
  const Case cases[] = {
      {{Framing::length, 5}, "hello", 0, Ahead::complete},
      {{Framing::length, 5}, "hello", 2, Ahead::complete},
      {{Framing::length, 5}, "hellonext", 5, Ahead::complete},
      {{Framing::length, 9}, "hello", 0, Ahead::open},
      {{Framing::length, 9}, "hello", 2, Ahead::open},
      {{Framing::length, 9}, "hello", 5, Ahead::open},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\n\r\n", 0, Ahead::complete},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\n\r\n", 2, Ahead::complete},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\n\r\n", 5, Ahead::complete},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\n\r", 2, Ahead::open},
      {{Framing::chunked, 0}, "5\r\nhello\r\n", 0, Ahead::open},
      {{Framing::chunked, 0}, "5\r\nhelloX", 2, Ahead::broken},
      {{Framing::chunked, 0}, "5\r\nhello\r\nX", 5, Ahead::broken},
      {{Framing::until_close, 0}, "hello", 2, Ahead::open},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.here << ", consumed " << row.consumed);
    Http1Body& body = open(row.framing, row.here);
    std::string_view bytes;
    if (row.framing.kind != Framing::until_close) EXPECT_EQ(body.look_ahead(), row.ahead);
    ASSERT_EQ(body.read(bytes), Step::bytes);
    body.consume(row.consumed);
    const std::string before(input_.view());
    EXPECT_EQ(body.look_ahead(), row.ahead);
    EXPECT_EQ(body.look_ahead(), row.ahead) << "it takes nothing";
    EXPECT_EQ(input_.view(), before);
  }
}

enum class Ending { half, reset };

TEST_F(Http1BodyTest, SaysWhyItIsNotWhole) {
  struct Case {
    BodyFraming framing;
    std::string sent;
    std::optional<Ending> ending;
    Step step;
    std::string data;
    const char* problem;
  };
  const char* const early = "unexpected EOF";
  const char* const reset = "read: connection reset by peer";
  const char* const broken = "invalid byte in chunk length";
  const Case cases[] = {
      {{Framing::length, 5}, "hell", Ending::half, Step::lost, "hell", early},
      {{Framing::length, 5}, "", Ending::half, Step::lost, "", early},
      {{Framing::length, 5}, "", Ending::reset, Step::lost, "", reset},
      {{Framing::length, 5}, "hello", Ending::half, Step::ended, "hello", ""},
      {{Framing::chunked, 0}, "5\r\nhello\r\n", Ending::half, Step::lost, "hello", early},
      {{Framing::chunked, 0}, "5\r\nhello\r\n0\r\n", Ending::half, Step::lost, "hello", early},
      {{Framing::chunked, 0}, "", Ending::reset, Step::lost, "", reset},
      {{Framing::chunked, 0}, "5\r\nhello\r\nX", {}, Step::broken, "hello", broken},
      {{Framing::chunked, 0}, "X", {}, Step::broken, "", broken},
      {{Framing::chunked, 0}, "5\r\nhelloX", Ending::half, Step::broken, "hello", broken},
      {{Framing::chunked, 0}, "0\r\nno colon\r\n\r\n", {}, Step::broken, "", broken},
      {{Framing::until_close, 0}, "", Ending::reset, Step::lost, "", reset},
      {{Framing::until_close, 0}, "hello", Ending::half, Step::ended, "hello", ""},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.sent << ": " << row.problem);
    Http1Body& body = open(row.framing);
    peer_->send(row.sent);
    if (row.ending == Ending::half) peer_->end_sending();
    if (row.ending == Ending::reset) {
      EXPECT_EQ(connection_->write(std::string_view("unread")).size, 6U);
      peer_->close();
    }
    settle();
    std::string data;
    EXPECT_EQ(read_on(data), row.step);
    EXPECT_EQ(data, row.data);
    EXPECT_EQ(body.problem(), row.problem);
    EXPECT_EQ(body.done(), row.step == Step::ended);
  }
}

TEST_F(Http1BodyTest, WhatIsBrokenStaysBroken) {
  // Read once more from where the reader stood, these would be a chunk and the end.
  Http1Body& body = open({Framing::chunked, 0}, "5\r\nhello\r");
  std::string data;
  EXPECT_EQ(read_on(data), Step::blocked);
  come("\n5\rXYZ\r\n0\r\n\r\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(read_on(data), Step::broken);
    EXPECT_EQ(body.look_ahead(), Ahead::broken);
    EXPECT_EQ(data, "hello");
    EXPECT_FALSE(body.done());
  }
}

TEST_F(Http1BodyTest, HoldsNoBlockWhileNothingIsThere) {
  Http1Body& body = open({Framing::length, 10}, "hello");
  std::string data;
  EXPECT_EQ(read_on(data), Step::blocked);
  EXPECT_FALSE(input_.held());
  come("wor");
  EXPECT_EQ(read_on(data), Step::blocked);
  EXPECT_EQ(read_on(data), Step::blocked);
  EXPECT_FALSE(input_.held());
  come("ld");
  EXPECT_EQ(read_on(data), Step::ended);
  EXPECT_EQ(data, "helloworld");
  EXPECT_EQ(body.take_arrived(), 5U) << "what came behind the head is not among them";
}

TEST_F(Http1BodyTest, TakesALargeBlockForWhatIsLarge) {
  struct Case {
    BodyFraming framing;
    std::size_t before;  ///< bytes of it that were read already
    std::size_t capacity;
  };
  const Case cases[] = {
      {{Framing::length, BufferPool::kSmall}, 0, BufferPool::kSmall},
      {{Framing::length, BufferPool::kSmall + 1}, 0, BufferPool::kLarge},
      {{Framing::until_close, 0}, 0, BufferPool::kSmall},
      {{Framing::until_close, 0}, BufferPool::kSmall - 1, BufferPool::kSmall},
      {{Framing::until_close, 0}, BufferPool::kSmall, BufferPool::kLarge},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.framing.length << ' ' << row.before);
    Http1Body& body = open(row.framing, std::string(row.before, 'x'));
    std::string data;
    EXPECT_EQ(read_on(data), Step::blocked);
    come("more");
    std::string_view bytes;
    ASSERT_EQ(body.read(bytes), Step::bytes);
    EXPECT_EQ(bytes, "more");
    EXPECT_EQ(input_.capacity(), row.capacity);
  }
}

TEST_F(Http1BodyTest, WhatMayShowAKeyIsWipedWhenItsBlockGoesBack) {
  for (const bool sensitive : {false, true}) {
    open({Framing::length, 8});
    body_.emplace(Http1Body::Place{*connection_, input_, buffers_, sensitive},
                  BodyFraming{Framing::length, 8}, ChunkLines::of_client);
    come("a secret");
    std::string data;
    EXPECT_EQ(read_on(data), Step::ended);
    EXPECT_EQ(data, "a secret");
    const char* const block = input_.data();
    input_.release();
    const Buffer next = buffers_.take(BufferPool::kSmall);
    ASSERT_EQ(next.view().data(), block);
    EXPECT_EQ(std::string(block, 8), sensitive ? std::string(8, '\0') : data);
  }
}

TEST_F(Http1BodyTest, TrailersAreKeptWhereTheyAreWanted) {
  for (const bool wanted : {false, true}) {
    Http1Body& body = open({Framing::chunked, 0}, kChunked);
    if (wanted) body.keep_trailers();
    std::string data;
    EXPECT_EQ(read_on(data), Step::ended);
    EXPECT_EQ(body.trailers(), wanted ? "A: b\r\n" : "");
  }
}

}  // namespace
}  // namespace iron::proxy
