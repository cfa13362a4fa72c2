#include "proxy/http1/http1_answer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/wait/buffers.h"
#include "proxy/wait/event_loop.h"
#include "tests/proxy/manual_clock.h"
#include "tests/proxy/socket_ends.h"

namespace iron::proxy {
namespace {

using Framing = BodyFraming::Kind;
using Step = BodySink::Step;
using Taken = BodySink::Taken;
using Terms = Http1Answer::Terms;
using Fields = std::vector<std::pair<const char*, const char*>>;

/// An answer on a plain connection, at the other end of which the test sits.
class Http1AnswerTest : public testing::Test {
 protected:
  Http1Answer& start(const Terms& terms) {
    answer_.reset();
    connection_.reset();
    composed_.clear();
    peer_.emplace();
    connection_.emplace(loop_, peer_->give_away());
    connection_->set_pause(&pause_);
    return answer_.emplace(*connection_, composed_, terms);
  }
  /// With a head of the simplest kind.
  Http1Answer& begin(const Terms& terms, const BodyFraming& framing) {
    Http1Answer& answer = start(terms);
    Response response{200, 1, "OK", {}};
    response.headers.add("Date", "D");
    answer.begin(response, framing, false);
    return answer;
  }
  std::string written() {
    std::size_t moved = 0;
    EXPECT_EQ(answer_->write(moved), Step::written);
    EXPECT_FALSE(answer_->has_pending());
    const std::string came = peer_->received();
    EXPECT_EQ(came.size(), moved);
    return came;
  }
  void settle() {
    while (loop_.turn()) {
    }
  }
  bool resets_on_close() const {
    linger how{};
    socklen_t size = sizeof how;
    ::getsockopt(connection_->stream().descriptor(), SOL_SOCKET, SO_LINGER, &how, &size);
    return how.l_onoff != 0 && how.l_linger == 0;
  }
  Task<void> sleep() {
    co_await pause_;
    ++woken_;
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  Pause pause_{loop_};
  std::string composed_;
  std::optional<SocketEnds> peer_;
  std::optional<Connection> connection_;
  std::optional<Http1Answer> answer_;
  int woken_ = 0;
};

const std::string kHead = "HTTP/1.1 200 OK\r\nDate: D\r\n\r\n";

TEST_F(Http1AnswerTest, IsFramedAsItsClientCanReadIt) {
  struct Case {
    const char* name;
    Terms terms;
    int status;
    Fields fields;
    BodyFraming framing;
    bool reframes;
    const char *body, *wire;  ///< `wire`: behind `HTTP/1.x NNN OK` and its Date
    bool reusable;
  };
  const Terms one{1, true}, one_closing{1, false}, zero{0, true}, zero_closing{0, false};
  const Fields length{{"Content-Length", "5"}}, chunked{{"Transfer-Encoding", "chunked"}};
  const BodyFraming none{Framing::none, 0}, of_5{Framing::length, 5},
      in_chunks{Framing::chunked, 0}, to_the_end{Framing::until_close, 0};
  const char* const length_line = "Content-Length: 5\r\n\r\nhello";
  const char* const chunks = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  const char* const no_chunk = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  const char* const raw = "\r\nhello";
  const Case cases[] = {
      {"length", one, 200, length, of_5, false, "hello", length_line, true},
      {"length, closing", one_closing, 200, length, of_5, false, "hello",
       "Content-Length: 5\r\nConnection: close\r\n\r\nhello", false},
      {"length to 1.0", zero, 200, length, of_5, false, "hello",
       "Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", true},
      {"length to 1.0, closing", zero_closing, 200, length, of_5, false, "hello", length_line,
       false},
      {"chunked", one, 200, chunked, in_chunks, false, "hello", chunks, true},
      {"chunked of nothing", one, 200, chunked, in_chunks, false, "", no_chunk, true},
      {"chunked, closing", one_closing, 200, chunked, in_chunks, false, "",
       "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", false},
      {"chunked to 1.0", zero, 200, chunked, in_chunks, false, "hello", raw, false},
      {"chunked to 1.0, closing", zero_closing, 200, chunked, in_chunks, false, "hello", raw,
       false},
      {"until close", one, 200, {}, to_the_end, false, "hello", chunks, true},
      {"until close to 1.0", zero, 200, {}, to_the_end, false, "hello", raw, false},
      {"length, reframed", one, 200, length, of_5, true, "hello", chunks, true},
      {"length to 1.0, reframed", zero, 200, length, of_5, true, "hello", raw, false},
      {"chunked, reframed", one, 200, chunked, in_chunks, true, "hello", chunks, true},
      {"until close, reframed", one, 200, {}, to_the_end, true, "hello", chunks, true},
      {"HEAD", one, 200, length, none, false, "", "Content-Length: 5\r\n\r\n", true},
      {"HEAD, chunked", one, 200, chunked, none, false, "", "Transfer-Encoding: chunked\r\n\r\n",
       true},
      {"HEAD of 1.0, chunked", zero, 200, chunked, none, false, "",
       "Connection: keep-alive\r\n\r\n", true},
      {"HEAD that tells nothing", one, 200, {}, none, false, "", "\r\n", true},
      {"204 with a length", one, 204, length, none, false, "", "\r\n", true},
      {"204, chunked", one, 204, chunked, none, false, "", "\r\n", true},
      {"304 with a length", one, 304, length, none, false, "", "Content-Length: 5\r\n\r\n", true},
      {"304, chunked", one, 304, chunked, none, false, "", "Transfer-Encoding: chunked\r\n\r\n",
       true},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    Http1Answer& answer = start(row.terms);
    Response response{row.status, 1, "OK", {}};
    response.headers.add("Date", "D");
    response.headers.add("Connection", "X-Gone");
    response.headers.add("X-Gone", "1");
    for (const auto& [name, value] : row.fields) response.headers.add(name, value);
    answer.begin(response, row.framing, row.reframes);
    const std::string_view body = row.body;
    if (!body.empty()) EXPECT_EQ(answer.take(body), Taken::copied);
    answer.end({});
    EXPECT_EQ(written(), "HTTP/1." + std::to_string(row.terms.minor_version) + " " +
                             std::to_string(row.status) + " OK\r\nDate: D\r\n" + row.wire);
    EXPECT_EQ(answer.reusable(), row.reusable);
    EXPECT_FALSE(answer.wants_trailers());
  }
}

TEST_F(Http1AnswerTest, TrailersGoToWhoAskedForThemInChunks) {
  struct Case {
    Terms terms;
    Framing kind;
    bool reframes, wanted;
  };
  const Case cases[] = {
      {{1, true, true}, Framing::chunked, false, true},
      {{1, false, true}, Framing::chunked, false, true},
      {{1, true, true}, Framing::chunked, true, true},
      {{1, true, false}, Framing::chunked, false, false},
      {{0, true, true}, Framing::chunked, false, false},
      {{1, true, true}, Framing::until_close, false, false},
      {{1, true, true}, Framing::length, false, false},
      {{1, true, true}, Framing::length, true, false},
      {{1, true, true}, Framing::none, false, false},
  };
  for (const Case& row : cases) {
    Http1Answer& answer = start(row.terms);
    Response response{200, 1, "OK", {}};
    response.headers.add("Trailer", "A");
    answer.begin(response, {row.kind, 0}, row.reframes);
    EXPECT_EQ(answer.wants_trailers(), row.wanted);
    answer.end(row.wanted ? "A: b\r\n" : "");
    const std::string wire = written();
    EXPECT_EQ(wire.find("\r\nTrailer: A\r\n") != wire.npos, row.wanted) << wire;
    EXPECT_EQ(wire.ends_with("\r\n\r\n0\r\nA: b\r\n\r\n"), row.wanted) << wire;
  }
}

TEST_F(Http1AnswerTest, AFewBytesRideInTheWriteOfTheHeadOthersLeaveFromWhereTheyLie) {
  struct Case {
    BodyFraming framing;
    std::size_t size;
    bool behind_head;  ///< which has not left yet
    Taken taken;
  };
  const std::size_t small = BufferPool::kSmall;
  const BodyFraming with_length{Framing::length, 100'000}, chunked{Framing::chunked, 0};
  const Case cases[] = {
      {with_length, 1, true, Taken::copied},       {with_length, small, true, Taken::copied},
      {with_length, small + 1, true, Taken::held}, {with_length, 1, false, Taken::held},
      {chunked, small + 1, true, Taken::copied},   {chunked, small + 1, false, Taken::copied},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.size << ' ' << row.behind_head);
    Http1Answer& answer = begin({}, row.framing);
    std::string head = answer.composed() == 0 ? "" : composed_;
    if (!row.behind_head) EXPECT_EQ(written(), std::exchange(head, ""));
    std::string body(row.size, 'x');
    EXPECT_EQ(answer.take(body), row.taken);
    EXPECT_TRUE(answer.has_pending());
    if (row.taken == Taken::held) EXPECT_EQ(answer.composed(), head.size());
    // What was copied may change now; what is held leaves as it is then.
    std::fill(body.begin(), body.end(), 'y');
    const std::string wire = written();
    const char kind = row.taken == Taken::held ? 'y' : 'x';
    EXPECT_EQ(std::count(wire.begin(), wire.end(), kind), static_cast<std::ptrdiff_t>(row.size));
    EXPECT_EQ(wire.substr(0, head.size()), head);
    EXPECT_EQ(answer.composed(), 0U);
  }
}

TEST_F(Http1AnswerTest, CopiesWhatDoesNotStay) {
  Http1Answer& answer = begin({}, {Framing::length, 100'000});
  std::string body(50'000, 'x');
  answer.copy(body);
  std::fill(body.begin(), body.end(), 'y');
  EXPECT_EQ(answer.composed(), kHead.size() + body.size());
  EXPECT_EQ(written(), kHead + std::string(50'000, 'x'));
}

TEST_F(Http1AnswerTest, EachPieceIsAChunk) {
  Http1Answer& answer = begin({}, {Framing::until_close, 0});
  EXPECT_EQ(written(), kHead.substr(0, kHead.size() - 2) + "Transfer-Encoding: chunked\r\n\r\n");
  const std::string sixteen(16, 'x'), many(0xabc, 'y');
  answer.take("a");
  answer.copy(sixteen);
  EXPECT_EQ(written(), "1\r\na\r\n10\r\n" + sixteen + "\r\n");
  answer.take(many);
  EXPECT_EQ(written(), "abc\r\n" + many + "\r\n");
  answer.end({});
  EXPECT_EQ(written(), "0\r\n\r\n");
}

TEST_F(Http1AnswerTest, AClientThatTakesLittleGetsAllOfItInOrder) {
  for (const bool held : {false, true}) {
    Http1Answer& answer = begin({.sensitive = true}, {Framing::length, 500'000});
    std::string body;
    while (body.size() < 500'000) body += std::to_string(body.size()) + ' ';
    if (held) {
      EXPECT_EQ(answer.take(body), Taken::held);
    } else {
      answer.copy(body);
    }
    std::size_t moved = 0;
    std::string came;
    int blocked = 0;
    woken_ = 0;
    while (answer.write(moved) == Step::blocked) {
      ASSERT_LT(++blocked, 1000);
      EXPECT_TRUE(answer.has_pending());
      iron::start(sleep(), [](std::exception_ptr) { FAIL(); });
      settle();
      EXPECT_EQ(woken_, blocked - 1);
      came += peer_->received();
      EXPECT_EQ(came.size(), moved);
      settle();
      ASSERT_EQ(woken_, blocked) << "room ends the sleep";
    }
    came += peer_->received();
    EXPECT_GT(blocked, 0);
    EXPECT_TRUE(came == kHead + body);
    EXPECT_EQ(moved, came.size());
  }
}

TEST_F(Http1AnswerTest, AClientThatIsGoneIsLost) {
  for (const bool held : {false, true}) {
    Http1Answer& answer = begin({}, {Framing::length, 5});
    if (held) {
      EXPECT_EQ(written(), kHead);
      EXPECT_EQ(answer.take("hello"), Taken::held);
    }
    peer_->close();
    std::size_t moved = 0;
    EXPECT_EQ(answer.write(moved), Step::lost);
    EXPECT_EQ(moved, 0U);
  }
}

TEST_F(Http1AnswerTest, WhatMayShowAKeyIsWipedOnceItHasLeft) {
  for (const bool sensitive : {false, true}) {
    Http1Answer& answer = begin({.sensitive = sensitive}, {Framing::chunked, 0});
    answer.take("a secret");
    const std::size_t size = composed_.size();
    const char* const bytes = composed_.data();
    EXPECT_TRUE(written().ends_with("\r\na secret\r\n"));
    EXPECT_EQ(composed_.data(), bytes) << "its capacity stays";
    const auto zeros = std::count(bytes + 1, bytes + size, '\0');
    EXPECT_EQ(zeros, sensitive ? static_cast<std::ptrdiff_t>(size) - 1 : 0);
  }
}

TEST_F(Http1AnswerTest, WhatIsForgottenNeverLeavesAndIsWiped) {
  Http1Answer& answer = begin({}, {Framing::length, 100'000});
  const std::string body(100'000, 'x');
  EXPECT_EQ(answer.take(body), Taken::held);
  const std::size_t size = composed_.size();
  answer.forget();
  EXPECT_FALSE(answer.has_pending());
  EXPECT_EQ(answer.composed(), 0U);
  EXPECT_EQ(std::count(composed_.data(), composed_.data() + size, '\0'),
            static_cast<std::ptrdiff_t>(size));
  EXPECT_EQ(written(), "");
}

TEST_F(Http1AnswerTest, WhatIsCutDoesNotLookWhole) {
  const std::pair<Terms, BodyFraming> cases[] = {
      {{1, true}, {Framing::length, 5}},
      {{1, true}, {Framing::chunked, 0}},
      {{0, true}, {Framing::length, 5}},
      {{0, true}, {Framing::until_close, 0}},
  };
  for (const auto& [terms, framing] : cases) {
    Http1Answer& answer = begin(terms, framing);
    EXPECT_FALSE(connection_->stream().abandoned());
    answer.cut();
    EXPECT_TRUE(connection_->stream().abandoned());
    EXPECT_EQ(resets_on_close(), framing.kind == Framing::until_close)
        << "where the end of the connection is the end of the body";
  }
}

}  // namespace
}  // namespace iron::proxy
