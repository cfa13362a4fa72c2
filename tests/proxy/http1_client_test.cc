#include "proxy/http1/http1_client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/proxy/http1_client_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using Framing = BodyFraming::Kind;

constexpr std::size_t kDroppable = 256 * 1024;
const std::string kNext = "GET /next HTTP/1.1\r\nHost: h.test\r\n\r\n";

std::string post(std::string_view fields) {
  return "POST /a HTTP/1.1\r\nHost: h.test\r\n" + std::string(fields) + "\r\n";
}
std::string of_length(std::size_t length) {
  return post("Content-Length: " + std::to_string(length) + "\r\n");
}
std::string get(std::string_view fields = {}, int minor_version = 1) {
  return "GET /a HTTP/1." + std::to_string(minor_version) + "\r\nHost: h.test\r\n" +
         std::string(fields) + "\r\n";
}
const std::string kExpects = "Expect: 100-continue\r\n";
const std::string kChunked = post("Transfer-Encoding: chunked\r\n");

TEST_F(Http1ClientTest, AnAnswerOfOursLeavesTheConnectionIfNothingIsInTheWay) {
  enum class Event { none, drain, half_close };
  struct Case {
    const char* name;
    std::string head, here, later;
    Event event;
    bool goes_on;
    const char* connection;  ///< of the answer
  };
  const std::string close = "Connection: close\r\n", keep = "Connection: keep-alive\r\n";
  const char *const none = "", *const closes = "close", *const stays = "keep-alive";
  const Case cases[] = {
      {"no body", get(), "", "", Event::none, true, none},
      {"no body, the next is here", get(), kNext, "", Event::none, true, none},
      {"it asks for the end", get(close), "", "", Event::none, false, closes},
      {"1.0", get("", 0), "", "", Event::none, false, none},
      {"1.0 that stays", get(keep, 0), "", "", Event::none, true, stays},
      {"1.0 that says both", get(keep + close, 0), "", "", Event::none, false, none},
      {"half-closed", get(), "", "", Event::half_close, false, closes},
      {"a body that is here", of_length(5), "hello", "", Event::none, true, none},
      {"and the next behind it", of_length(5), "hello" + kNext, "", Event::none, true, none},
      {"one that still comes", of_length(5), "he", "llo", Event::none, true, none},
      {"all of it still comes", of_length(5), "", "hello" + kNext, Event::none, true, none},
      {"the most that is read", of_length(kDroppable), "", std::string(kDroppable, 'x'),
       Event::none, true, none},
      {"a part that is here is still to be read", of_length(kDroppable + 1), "a", "", Event::none,
       false, closes},
      {"more than is read", of_length(kDroppable + 1), "", "", Event::none, false, closes},
      {"chunks that are here", kChunked, "5\r\nhello\r\n0\r\n\r\n", "", Event::none, true, none},
      {"chunks that are not all here", kChunked, "5\r\nhello\r\n", "0\r\n\r\n", Event::none, false,
       closes},
      {"broken chunks", kChunked, "5\r\nhelloX", "", Event::none, false, closes},
      {"it was not told to go on", post(kExpects + "Content-Length: 5\r\n"), "", "", Event::none,
       false, closes},
      {"it went on by itself", post(kExpects + "Content-Length: 5\r\n"), "hello", "", Event::none,
       false, closes},
      {"it expects without a body", get(kExpects), "", "", Event::none, true, none},
      {"its body is empty", post(kExpects + "Content-Length: 0\r\n"), "", "", Event::none, true,
       none},
      {"the drain", get(), "", "", Event::drain, false, closes},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    Http1Client& stream = request(row.head, row.here);
    EXPECT_FALSE(stream.goes_on());
    if (row.event == Event::drain) loop_.begin_drain();
    if (row.event == Event::half_close) {
      peer_->end_sending();
      settle();
      EXPECT_EQ(stream.poll(), Presence::half_closed);
    }
    answer();
    const std::string wire = peer_->received();
    EXPECT_TRUE(wire.starts_with("HTTP/1." + std::to_string(request_.minor_version) + " 403 "))
        << wire;
    const std::string field = "\r\nConnection: ";
    EXPECT_EQ(wire.find(field) != wire.npos, *row.connection != '\0') << wire;
    EXPECT_NE(wire.find(*row.connection == '\0' ? "" : field + row.connection + "\r\n"), wire.npos)
        << wire;
    if (!row.goes_on || row.later.empty()) EXPECT_TRUE(done_);
    come(row.later);
    EXPECT_TRUE(done_);
    EXPECT_EQ(stream.goes_on(), row.goes_on);
    EXPECT_EQ(client_->closes_gently(), !row.goes_on);
    if (row.goes_on) EXPECT_EQ(unused(), (row.here + row.later).ends_with(kNext) ? kNext : "");
  }
}

TEST_F(Http1ClientTest, AnAnswerThatClosesDoesSo) {
  for (const OwnAnswer::Form form :
       {OwnAnswer::Form::denial, OwnAnswer::Form::text, OwnAnswer::Form::options,
        OwnAnswer::Form::closing, OwnAnswer::Form::head_fault}) {
    Http1Client& stream = request(get());
    OwnAnswer own{.form = form, .reason = "Bad Gateway"};
    own.fault = HeadFault::expectation;
    answer(own);
    EXPECT_EQ(stream.goes_on(), !own.closes());
    EXPECT_EQ(client_->closes_gently(), own.closes());
    EXPECT_EQ(peer_->received().find("Connection: close") != std::string::npos, own.closes());
  }
}

TEST_F(Http1ClientTest, AnAnswerToHeadHasNoBody) {
  for (const bool head : {false, true}) {
    request(head ? "HEAD /a HTTP/1.1\r\nHost: h.test\r\n\r\n" : get());
    OwnAnswer own{.form = OwnAnswer::Form::text, .status = 502, .reason = "Bad Gateway"};
    own.text = "bad gateway\n";
    answer(own);
    const std::string wire = peer_->received();
    EXPECT_TRUE(wire.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    EXPECT_NE(wire.find("Content-Length: 12\r\n"), wire.npos);
    EXPECT_TRUE(wire.ends_with(head ? "\r\n\r\n" : "\r\n\r\nbad gateway\n"));
  }
}

TEST_F(Http1ClientTest, AClientThatIsGoneIsNotAnswered) {
  Http1Client& stream = request(get());
  peer_->close();
  answer();
  EXPECT_TRUE(done_);
  EXPECT_FALSE(stream.goes_on());
  EXPECT_FALSE(client_->closes_gently()) << "nobody is there to see it";
}

TEST_F(Http1ClientTest, WhatWasReadOfABodyBeforeItsAnswerIsNoRest) {
  const std::string part(60'000, 'x');
  Http1Client& stream = request(of_length(6 * part.size()));
  for (int i = 0; i < 5; ++i) {
    peer_->send(part);
    EXPECT_EQ(read_body(part.size()), part);
  }
  answer();
  EXPECT_FALSE(done_);
  come(part + kNext);
  EXPECT_TRUE(done_);
  EXPECT_TRUE(stream.goes_on());
  EXPECT_EQ(unused(), kNext);
}

TEST_F(Http1ClientTest, TheRestOfABodyIsNotAwaitedForLong) {
  enum class Event { time, end, cut };
  for (const Event event : {Event::time, Event::end, Event::cut}) {
    SCOPED_TRACE(static_cast<int>(event));
    Http1Client& stream = request(of_length(10), "hello");
    answer();
    advance(4900ms);
    come("wor");
    EXPECT_FALSE(done_);
    if (event == Event::time) advance(120ms);
    if (event == Event::end) peer_->end_sending();
    if (event == Event::cut) loop_.cut_all();
    settle();
    EXPECT_TRUE(done_);
    EXPECT_FALSE(stream.goes_on());
    EXPECT_TRUE(client_->closes_gently());
    EXPECT_FALSE(client_->pause().expired()) << "no deadline is left behind";
  }
}

TEST_F(Http1ClientTest, AClientIsToldToGoOnOnceAndIfItAsked) {
  struct Case {
    const char* name;
    std::string head;
    bool told;
  };
  const std::string length = "Content-Length: 5\r\n";
  const Case cases[] = {
      {"it did", post(kExpects + length), true},
      {"with chunks", post(kExpects + "Transfer-Encoding: chunked\r\n"), true},
      {"it did not", post(length), false},
      {"1.0 knows none", "POST / HTTP/1.0\r\nHost: h\r\n" + kExpects + length + "\r\n", false},
      {"no body", get(kExpects), false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    Http1Client& stream = request(row.head);
    EXPECT_EQ(stream.takes_interim(100), request_.minor_version == 1);
    go_on();
    EXPECT_EQ(told_, true);
    EXPECT_EQ(peer_->received(), row.told ? "HTTP/1.1 100 Continue\r\n\r\n" : "");
    EXPECT_EQ(stream.takes_interim(100), request_.minor_version == 1 && !row.told);
    EXPECT_EQ(stream.takes_interim(103), request_.minor_version == 1);
    go_on();
    EXPECT_EQ(told_, true);
    EXPECT_EQ(peer_->received(), "") << "once";
  }
  request(cases[0].head);
  peer_->close();
  go_on();
  EXPECT_EQ(told_, false);
}

TEST_F(Http1ClientTest, OneThatWasToldToGoOnSendsABodyLikeAnyOther) {
  Http1Client& stream = request(post(kExpects + "Content-Length: 5\r\n"));
  go_on();
  answer();
  EXPECT_FALSE(done_);
  come("hello" + kNext);
  EXPECT_TRUE(done_);
  EXPECT_TRUE(stream.goes_on());
  EXPECT_EQ(unused(), kNext);
}

TEST_F(Http1ClientTest, InterimAnswersHaveNoFramingAndNothingOfTheHop) {
  request(get());
  Response head{103, 1, "Early Hints", {}};
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, const char*>>{{"Link", "</a>"},
                                                        {"content-length", "5"},
                                                        {"Transfer-encoding", "chunked"},
                                                        {"Connection", "X-Hop"},
                                                        {"X-Hop", "1"},
                                                        {"Trailer", "A"},
                                                        {"A", "b"}}) {
    head.headers.add(name, value);
  }
  send_interim(head);
  EXPECT_EQ(told_, true);
  EXPECT_EQ(peer_->received(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nA: b\r\n\r\n");
  peer_->close();
  send_interim(head, true);
  EXPECT_EQ(told_, false);
}

TEST_F(Http1ClientTest, ARelayedAnswerSaysCloseWhereTheBodyCannotBeRead) {
  struct Case {
    const char* name;
    std::string head, here, later;
    bool whole;  ///< the answer is here when it begins
    bool read;   ///< the exchange has read the body before its end
    bool says_close, goes_on;
  };
  const std::string large(kDroppable + 1, 'x');
  const std::string chunks = "5\r\nhello\r\n0\r\n\r\n";
  const std::string expects = post(kExpects + "Content-Length: 5\r\n");
  const Case cases[] = {
      {"no body", get(), "", "", true, false, false, true},
      {"it asks for the end", get("Connection: close\r\n"), "", "", true, false, true, false},
      {"1.0", get("", 0), "", "", true, false, false, false},
      {"a body that was read", of_length(5), "hello", "", true, true, false, true},
      {"a small one still comes", of_length(5), "he", "llo", true, false, false, true},
      {"a large one, of which nobody knows yet", of_length(large.size()), "", large, false, false,
       false, false},
      {"a large one, but the answer is whole", of_length(large.size()), "", large, true, false,
       true, false},
      {"chunks that are here", kChunked, chunks, "", true, false, false, true},
      {"chunks of which nobody knows yet", kChunked, "5\r\n", "", false, false, false, false},
      {"chunks, but the answer is whole", kChunked, "5\r\n", "", true, false, true, false},
      {"chunks that came meanwhile", kChunked, chunks, "", false, true, false, true},
      {"it was not told to go on", expects, "", "", true, false, true, false},
      {"nor is the answer here", expects, "", "", false, false, false, false},
      {"it went on by itself and was read", expects, "hello", "", false, true, false, true},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    Http1Client& stream = request(row.head, row.here);
    BodySink& sink = begin(row.whole);
    if (row.read) EXPECT_EQ(read_body(5), "hello");
    if (row.read) EXPECT_EQ(read_body(5), "") << "its end";
    complete(sink);
    const std::string wire = peer_->received();
    EXPECT_EQ(wire.find("\r\nConnection: close\r\n") != wire.npos, row.says_close) << wire;
    EXPECT_TRUE(wire.ends_with("\r\n\r\nhello")) << wire;
    if (row.goes_on) come(row.later);
    EXPECT_TRUE(done_);
    EXPECT_EQ(stream.goes_on(), row.goes_on);
    EXPECT_EQ(client_->closes_gently(), !row.goes_on);
  }
}

TEST_F(Http1ClientTest, ARelayedAnswerThatMayShowAKeyIsWiped) {
  for (const bool sensitive : {false, true}) {
    request(get());
    complete(begin(true, sensitive));
    const auto wire = static_cast<std::ptrdiff_t>(peer_->received().size());
    const auto zeros = std::count(composed_.data() + 1, composed_.data() + wire, '\0');
    EXPECT_EQ(zeros, sensitive ? wire - 1 : 0);
  }
}

TEST_F(Http1ClientTest, ADrainThatBeginsBehindTheHeadOfAnAnswerIsNotToldInIt) {
  Http1Client& stream = request(get());
  BodySink& sink = begin(true);
  loop_.begin_drain();
  complete(sink);
  EXPECT_EQ(peer_->received().find("Connection"), std::string::npos);
  EXPECT_TRUE(stream.goes_on()) << "the session looks at the drain";
  request(get());
  complete(begin(true));
  EXPECT_NE(peer_->received().find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_FALSE(stream_->goes_on());
}

TEST_F(Http1ClientTest, NoByteOfABodyIsEverReadAsTheNextRequest) {
  struct Body {
    std::string head, wire;
  };
  const Body bodies[] = {
      {of_length(27), "GET /evil HTTP/1.1\r\nA: b\r\n\r"},
      {kChunked, "13\r\nGET /e HTTP/1.1\r\n\r\n\r\n1;a\r\nx\r\n0\r\nA: b\r\n\r\n"},
  };
  enum class Comes { before_answer, behind_answer };
  for (const Body& body : bodies) {
    const std::string wire = body.wire + kNext;
    for (std::size_t here = 0; here <= wire.size(); ++here) {
      for (const std::size_t taken : {0UL, 1UL, 7UL, 1000UL}) {
        for (const Comes comes : {Comes::before_answer, Comes::behind_answer}) {
          SCOPED_TRACE(testing::Message() << body.wire << ", here " << here << ", taken " << taken
                                          << ", " << static_cast<int>(comes));
          Http1Client& stream = request(body.head, wire.substr(0, here));
          const std::string rest = wire.substr(here);
          if (comes == Comes::before_answer) come(rest);
          if (taken > 0) read_body(taken);
          answer();
          if (comes == Comes::behind_answer) come(rest);
          ASSERT_TRUE(done_);
          const bool chunked = &body != bodies;
          if (!chunked) EXPECT_TRUE(stream.goes_on());
          if (chunked && here >= body.wire.size()) EXPECT_TRUE(stream.goes_on());
          if (stream.goes_on()) EXPECT_EQ(unused(), kNext);
          EXPECT_EQ(client_->closes_gently(), !stream.goes_on());
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST_F(Http1ClientTest, GivesTheConnectionAwayBehindA101) {
  for (const bool sensitive : {false, true}) {
    Http1Client& stream = request(get(), "frames");
    Response head{101, 1, "Switching Protocols", {}};
    head.headers.add("Connection", "Upgrade, X-Hop");
    head.headers.add("X-Hop", "1");
    head.headers.add("Upgrade", "websocket");
    head.headers.add("Content-Length", "5");
    head.headers.add("A", "THE-KEY");
    composed_.reserve(1000);
    const char* const bytes = composed_.data();
    switch_protocols(head, sensitive);
    EXPECT_EQ(told_, true);
    const std::string wire = peer_->received();
    EXPECT_EQ(wire,
              "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              "A: THE-KEY\r\n\r\n");
    EXPECT_EQ(composed_, "");
    ASSERT_EQ(composed_.data(), bytes);
    EXPECT_EQ(std::count(bytes + 1, bytes + wire.size(), '\0'),
              sensitive ? static_cast<std::ptrdiff_t>(wire.size()) - 1 : 0);
    const Buffer next = buffers_.take(BufferPool::kSmall);
    EXPECT_EQ(next.view().data(), in_head_) << "the head's block went back";
    const Pipe pipe = stream.pipe();
    EXPECT_EQ(&pipe.connection, &client_->connection());
    EXPECT_EQ(pipe.input.view(), "frames");
  }
  request(get());
  peer_->close();
  switch_protocols({101, 1, "Switching Protocols", {}}, false);
  EXPECT_EQ(told_, false);
}

TEST_F(Http1ClientTest, SaysWhatItsRequestIs) {
  const Http1Client& plain = request(get());
  EXPECT_EQ(plain.framing().kind, Framing::none);
  EXPECT_FALSE(plain.logs_connection_in());
  Http1Client& stream = request(post("Content-Length: 7\r\nAuthorization: NTLM AAAA\r\n"), "he");
  EXPECT_EQ(stream.framing().kind, Framing::length);
  EXPECT_EQ(stream.framing().length, 7U);
  EXPECT_TRUE(stream.logs_connection_in());
  EXPECT_EQ(&stream.client(), &*client_);
  EXPECT_EQ(&stream.pause(), &client_->pause());
  std::string_view bytes;
  EXPECT_EQ(stream.body().read(bytes), BodySource::Step::bytes);
  EXPECT_EQ(bytes, "he");
  EXPECT_FALSE(resets_on_close());
  stream.reset();
  EXPECT_TRUE(resets_on_close());
}

TEST_F(Http1ClientTest, TheEndOfItsClientIsSeen) {
  Http1Client& whole = request(get());
  EXPECT_EQ(whole.poll(), Presence::present);
  EXPECT_EQ(whole.half_close_deadline(), SteadyTime::max());
  peer_->end_sending();
  settle();
  EXPECT_EQ(whole.poll(), Presence::half_closed);
  EXPECT_EQ(whole.half_close_deadline(), clock_.now() + 5s);
  EXPECT_FALSE(whole.abandoned());
  advance(5s);
  EXPECT_TRUE(whole.abandoned());
  Http1Client& begun = request(of_length(5), "hell");
  peer_->end_sending();
  settle();
  EXPECT_EQ(begun.poll(), Presence::gone);
  EXPECT_TRUE(begun.abandoned());
}

}  // namespace
}  // namespace iron::proxy
