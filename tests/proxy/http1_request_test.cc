#include "proxy/http1/http1_request.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"
#include "proxy/wait/event_loop.h"
#include "tests/proxy/manual_clock.h"
#include "tests/proxy/socket_ends.h"

namespace iron::proxy {
namespace {

using Framing = BodyFraming::Kind;
using Step = BodySink::Step;
using Taken = BodySink::Taken;

/// A request on a plain connection, at the other end of which the test sits.
class Http1RequestTest : public testing::Test {
 protected:
  Http1RequestTest() {
    exchange_.request.method = "POST";
    exchange_.request.target = exchange_.raw_path = "/";
  }
  /// What the client sent as framing is in the head as it was, unless `length` is there.
  Http1Request& begin(Framing framing, std::optional<std::uint64_t> length = {}) {
    request_.reset();
    connection_.reset();
    peer_.emplace();
    connection_.emplace(loop_, peer_->give_away());
    connection_->set_pause(&pause_);
    request_.emplace(*connection_, pages_, buffers_);
    exchange_.request.headers.clear();
    if (framing == Framing::chunked) exchange_.request.headers.add("Transfer-Encoding", "chunked");
    if (framing == Framing::length) exchange_.request.headers.add("Content-Length", "11");
    OutgoingHead head{exchange_, "h.test", framing, length, false};
    EXPECT_FALSE(request_->begin(head));
    EXPECT_TRUE(request_->has_pending());
    EXPECT_FALSE(request_->sent());
    return *request_;
  }
  /// All that is pending, through a socket that takes as little as it likes.
  std::string written() {
    std::string all;
    std::size_t moved = 0;
    Step step = Step::blocked;
    while (step == Step::blocked) {
      while (loop_.turn()) {
      }
      step = request_->write(moved);
      all += peer_->received();
    }
    EXPECT_EQ(step, Step::written);
    EXPECT_FALSE(request_->has_pending());
    EXPECT_EQ(all.size(), moved);
    return all;
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  Pause pause_{loop_};
  SecretPages pages_;
  BufferPool buffers_;
  transforms::Exchange exchange_;
  std::optional<SocketEnds> peer_;
  std::optional<Connection> connection_;
  std::optional<Http1Request> request_;
};

const std::string kLine = "POST / HTTP/1.1\r\nHost: h.test\r\n";
const std::string kChunkedHead = kLine + "Transfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

TEST_F(Http1RequestTest, FramesItsBodyAsItsHeadTells) {
  const std::string ride(16 * 1024, 'r'), more(16 * 1024 + 1, 'm'), much(60'000, 'x'),
      large(65'530, 'y');
  struct Case {
    const char* name;
    Framing framing;
    std::optional<std::uint64_t> length;
    std::string head;
    std::vector<std::string> pieces;
    Taken last;  ///< of the last piece
  };
  const Case cases[] = {
      {"no body", Framing::none, {}, kLine + "Content-Length: 0\r\n\r\n", {}, Taken::copied},
      {"small, with the head",
       Framing::length,
       {},
       kLine + "Content-Length: 11\r\n\r\n",
       {"hello world"},
       Taken::copied},
      {"rides just so",
       Framing::length,
       {},
       kLine + "Content-Length: 11\r\n\r\n",
       {ride},
       Taken::copied},
      {"too much to ride",
       Framing::length,
       {},
       kLine + "Content-Length: 11\r\n\r\n",
       {more},
       Taken::held},
      {"some ride, then no room behind the head is left",
       Framing::length,
       {},
       kLine + "Content-Length: 11\r\n\r\n",
       {ride, ride, ride, ride},
       Taken::held},
      {"of a new length",
       Framing::chunked,
       5,
       kLine + "Content-Length: 5\r\n\r\n",
       {"hello"},
       Taken::copied},
      {"chunks", Framing::chunked, {}, kChunkedHead, {"hello", "x"}, Taken::copied},
      {"chunks behind the head and in a block of their own",
       Framing::chunked,
       {},
       kChunkedHead,
       {"a", more, "b", more, "c"},
       Taken::copied},
      {"a chunk beyond any block", Framing::chunked, {}, kChunkedHead, {"a", large}, Taken::held},
      {"a chunk for which the block has no room",
       Framing::chunked,
       {},
       kChunkedHead,
       {more, much},
       Taken::held},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    Http1Request& request = begin(row.framing, row.length);
    const bool chunked = row.framing == Framing::chunked && !row.length;
    std::string expected = row.head;
    Taken taken = Taken::copied;
    for (const std::string& piece : row.pieces) {
      ASSERT_EQ(taken, Taken::copied) << "nothing may follow what is held";
      taken = request.take(piece);
      expected += chunked ? chunk(piece) : piece;
    }
    EXPECT_EQ(taken, row.last);
    request.end({});
    EXPECT_FALSE(request.sent());
    if (chunked) expected += "0\r\n\r\n";
    EXPECT_EQ(written(), expected);
    EXPECT_TRUE(request.sent());
  }
}

TEST_F(Http1RequestTest, GoesOnAfterEachWrite) {
  for (const Framing framing : {Framing::length, Framing::chunked}) {
    const bool chunked = framing == Framing::chunked;
    Http1Request& request = begin(framing);
    std::string all = written();
    EXPECT_TRUE(all.ends_with("\r\n\r\n"));
    for (const std::size_t size : {1UL, 100UL, 70'000UL, 16'384UL, 2UL}) {
      const std::string piece(size, 'p');
      request.take(piece);
      EXPECT_EQ(written(), chunked ? chunk(piece) : piece);
      EXPECT_FALSE(request.sent());
    }
    request.end({});
    EXPECT_EQ(written(), chunked ? "0\r\n\r\n" : "");
    EXPECT_TRUE(request.sent());
  }
}

TEST_F(Http1RequestTest, WhatWasForgottenWasNotSent) {
  Http1Request& request = begin(Framing::length);
  request.take("hello world");
  request.end({});
  request.forget();
  EXPECT_FALSE(request.has_pending());
  EXPECT_FALSE(request.sent());
  EXPECT_EQ(peer_->received(), "");
}

TEST_F(Http1RequestTest, WhatWasSentAndForgottenStaysSent) {
  Http1Request& request = begin(Framing::none);
  request.end({});
  EXPECT_NE(written(), "");
  request.forget();
  EXPECT_TRUE(request.sent());
}

TEST_F(Http1RequestTest, AnOriginThatIsGoneTakesNoMore) {
  Http1Request& request = begin(Framing::length);
  peer_->close();
  std::size_t moved = 0;
  EXPECT_EQ(request.write(moved), Step::lost);
  EXPECT_EQ(moved, 0U);
}

TEST_F(Http1RequestTest, ItsHeadIsWipedWhenItWasSentOrForgotten) {
  const Secret key = Secret::copy_of("THE-KEY-OF-THIS-TEST");
  for (const bool sent : {true, false}) {
    SecretPages pages;
    const char* where = nullptr;
    {
      auto block = pages.take(1);
      where = block->data();
      pages.give_back(std::move(block), 0);
    }
    SocketEnds peer;
    Connection connection(loop_, peer.give_away());
    connection.set_pause(&pause_);
    transforms::Exchange exchange;
    exchange.request.method = "GET";
    exchange.raw_path = "/";
    exchange.request.headers.add("Authorization", "token");
    transforms::FieldRewrite& rewrite = exchange.rewrite_of(exchange.request.headers.all().front());
    rewrite.kind = transforms::FieldRewrite::Kind::whole;
    rewrite.parts.push_back({0, 5, &key});
    Http1Request request(connection, pages, buffers_);
    request.begin({exchange, "h.test", Framing::none, std::nullopt, true});
    request.end({});
    const std::string_view head(where, 200);
    ASSERT_NE(head.find(key.reveal()), head.npos);
    std::size_t moved = 0;
    if (sent) {
      EXPECT_EQ(request.write(moved), Step::written);
      EXPECT_NE(peer.received().find(key.reveal()), std::string::npos);
    } else {
      request.forget();
    }
    EXPECT_EQ(std::string(head), std::string(head.size(), '\0'));
  }
}

}  // namespace
}  // namespace iron::proxy
