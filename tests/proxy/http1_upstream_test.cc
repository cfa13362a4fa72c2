#include "proxy/http1/http1_upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/secret/secret.h"
#include "tests/proxy/http1_upstream_rig.h"

namespace iron::proxy {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(Http1UpstreamTest, ReadsHeadsHoweverTheyAreSplit) {
  const std::string heads =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nA: b\r\n\r\n";
  const std::string wire = heads + "hello";
  for (std::size_t split = 1; split <= wire.size(); ++split) {
    SCOPED_TRACE(split);
    ask();
    interim_.clear();
    moved_ = 0;
    EXPECT_FALSE(stream_->answered());
    Step step = come(wire.substr(0, split));
    EXPECT_EQ(step, split < heads.size() ? Step::blocked : Step::final);
    EXPECT_TRUE(stream_->answered());
    if (step == Step::blocked) {
      step = come(wire.substr(split));
    } else {
      peer_->send(wire.substr(split));
    }
    ASSERT_EQ(step, Step::final);
    EXPECT_EQ(interim_, "100 103 </a> ");
    EXPECT_EQ(head_.status, 200);
    EXPECT_EQ(head_.reason, "Fine");
    ASSERT_EQ(head_.headers.size(), 2U);
    EXPECT_EQ(head_.headers.all()[1].value, "b");
    EXPECT_EQ(moved_, split < heads.size() ? wire.size() : split);
    BodySource::Step end{};
    EXPECT_EQ(body(answer(), end), "hello");
    EXPECT_EQ(end, BodySource::Step::ended);
    EXPECT_EQ(stream_->take_reusable().get(), connection_);
  }
}

TEST_F(Http1UpstreamTest, ALargeHeadGetsTheRoomItNeeds) {
  ask();
  std::string value;
  while (value.size() < 200'000) value += std::to_string(value.size()) + ' ';
  value += 'x';
  const std::string wire =
      "HTTP/1.1 200 OK\r\nA: b\r\nLarge: " + value + "\r\nContent-Length: 0\r\n\r\n";
  Step step = Step::blocked;
  for (std::size_t at = 0; at < wire.size(); at += 30'000) {
    ASSERT_EQ(step, Step::blocked);
    step = come(wire.substr(at, 30'000));
  }
  ASSERT_EQ(step, Step::final);
  for (const std::size_t size : {BufferPool::kSmall, BufferPool::kLarge}) {
    Buffer outgrown = buffers_.take(size);
    std::fill(outgrown.space().begin(), outgrown.space().end(), '!');
  }
  EXPECT_EQ(head_.headers.find("A")->value, "b");
  EXPECT_TRUE(head_.headers.find("Large")->value == value);
  EXPECT_EQ(moved_, wire.size());
}

TEST_F(Http1UpstreamTest, BytesAndTheEndWakeTheSleeper) {
  for (const bool ends : {false, true}) {
    ask();
    trail_.clear();
    EXPECT_EQ(read(), Step::blocked);
    spawn(sleep(pause_, "session"));
    settle();
    EXPECT_EQ(trail_, Trail());
    ends ? peer_->end_sending() : peer_->send("H");
    settle();
    EXPECT_EQ(trail_, Trail{"session woke"});
  }
}

TEST_F(Http1UpstreamTest, InterimAnswersHaveLimits) {
  const std::string small = "HTTP/1.1 103 E\r\n\r\n", last = "HTTP/1.1 200 OK\r\n\r\n";
  const auto of_size = [](std::size_t size) {
    const std::string begin = "HTTP/1.1 103 E\r\nA: ", end = "\r\n\r\n";
    return begin + std::string(size - begin.size() - end.size(), 'x') + end;
  };
  const auto times = [](int count, const std::string& text) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  struct Case {
    const char* name;
    std::string wire;
    bool passes;
  };
  const Case cases[] = {
      {"sixteen", times(16, small), true},
      {"seventeen", times(17, small), false},
      {"64 KiB at once", of_size(65536), true},
      {"more at once", of_size(65537), false},
      {"64 KiB in all", times(4, of_size(16384)), true},
      {"more in all", times(3, of_size(16384)) + of_size(16385), false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    ask();
    const Step step = come(row.wire);
    EXPECT_EQ(step, row.passes ? Step::blocked : Step::failed);
    if (!row.passes) EXPECT_EQ(stream_->error().text, "too many interim responses");
    if (row.passes) EXPECT_EQ(come(last), Step::final);
  }
}

TEST_F(Http1UpstreamTest, A101IsTheLastOfItsHeads) {
  ask();
  EXPECT_EQ(come("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframes"),
            Step::final);
  EXPECT_EQ(head_.status, 101);
  const Pipe pipe = stream_->pipe();
  EXPECT_EQ(&pipe.connection, &connection_->connection);
  EXPECT_EQ(pipe.input.view(), "frames");
  EXPECT_EQ(stream_->take_reusable(), nullptr);
}

TEST_F(Http1UpstreamTest, SaysWhyThereIsNoAnswer) {
  enum class Event { none, end, reset };
  struct Case {
    const char* wire;
    Event event;
    testing::Matcher<std::string> text;
  };
  const std::string hint = "HTTP/1.1 103 E\r\n\r\n";
  const Case cases[] = {
      {"", Event::end, "EOF"},
      {"H", Event::end, "unexpected EOF"},
      {"HTTP/1.1 200 OK\r\nA: b\r\n", Event::end, "unexpected EOF"},
      {hint.c_str(), Event::end, "unexpected EOF"},
      {"", Event::reset,
       AllOf(StartsWith("read tcp "), EndsWith("->192.0.2.1:80: read: connection reset by peer"))},
      {"SSH-2.0-THE-KEY\r\n", Event::none, AllOf(StartsWith(kBrokenAnswer), HasSubstr("THE-KEY"))},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.wire << static_cast<int>(row.event));
    ask();
    if (row.event != Event::reset) EXPECT_NE(peer_->received(), "");
    peer_->send(row.wire);
    if (row.event == Event::end) peer_->end_sending();
    if (row.event == Event::reset) peer_->close();
    ASSERT_EQ(read(), Step::failed);
    EXPECT_THAT(stream_->error().text, row.text);
    EXPECT_EQ(stream_->error().fault, Fault::other);
    EXPECT_EQ(stream_->answered(), *row.wire != '\0');
    EXPECT_EQ(stream_->take_reusable(), nullptr);
  }
}

TEST_F(Http1UpstreamTest, WhereKeysAreSwappedNothingOfAnAnswerIsQuoted) {
  ask(false, FaultText::fixed);
  ASSERT_EQ(come("SSH-2.0-THE-KEY\r\n"), Step::failed);
  EXPECT_THAT(stream_->error().text, AllOf(StartsWith(kBrokenAnswer), Not(HasSubstr("THE-KEY"))));
  ask(false, FaultText::fixed);
  ASSERT_EQ(come("HTTP/1.1 200 OK\r\nContent-Length: THE-KEY\r\n\r\n"), Step::final);
  const std::string error = stream_->check(head_, "GET").error;
  EXPECT_NE(error, "");
  EXPECT_THAT(error, Not(HasSubstr("THE-KEY")));
}

TEST_F(Http1UpstreamTest, AnAnswerMayComeBeforeTheRequestWasSent) {
  open();
  send_request("POST", Sent::composed);
  EXPECT_EQ(come("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), Step::final);
  EXPECT_EQ(head_.status, 413);
  EXPECT_FALSE(stream_->sent());
  BodySource::Step end{};
  EXPECT_EQ(body(answer("POST"), end), "");
  EXPECT_EQ(peer_->received(), "");
  EXPECT_EQ(stream_->take_reusable(), nullptr);
}

TEST_F(Http1UpstreamTest, AConnectionIsReusableIfNothingIsLeftOfItsExchange) {
  struct Answer {
    const char *method, *wire, *body;
    bool persists;
  };
  const Answer answers[] = {
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
       "hello", true},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true},
      {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", true},
      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", true},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", true},
      {"GET", "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true},
      {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello",
       false},
      {"GET", "HTTP/1.1 204 No Content\r\nConnection: x\r\nconnection: y, CLOSE\r\n\r\n", "",
       false},
      {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false},
      {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
       "hello", true},
      {"GET", "HTTP/1.0 204 OK\r\nConnection: keep-alive, close\r\n\r\n", "", false},
  };
  const std::pair<Sent, bool> requests[] = {
      {Sent::whole, true},       {Sent::whole_and_forgotten, true}, {Sent::composed, false},
      {Sent::head_alone, false}, {Sent::half_forgotten, false},     {Sent::none_forgotten, false},
  };
  for (const Answer& row : answers) {
    for (const auto& [sent, whole] : requests) {
      for (const char* const behind : {"", "x", "HTTP/1.1 200 OK\r\n\r\n"}) {
        SCOPED_TRACE(testing::Message() << row.wire << behind << static_cast<int>(sent));
        open();
        send_request(row.method, sent);
        ASSERT_EQ(come(std::string(row.wire) + behind), Step::final);
        BodySource::Step end{};
        EXPECT_EQ(body(answer(row.method), end), row.body);
        EXPECT_EQ(end, BodySource::Step::ended);
        const bool reusable = row.persists && whole && *behind == '\0';
        const UpstreamPtr kept = stream_->take_reusable();
        EXPECT_EQ(kept.get(), reusable ? connection_ : nullptr);
        stream_.reset();  // what is kept outlives it
        peer_->received();
        EXPECT_EQ(peer_->ended(), !reusable);
      }
    }
  }
}

TEST_F(Http1UpstreamTest, WhatEndsWithItsConnectionIsNotReusable) {
  ask();
  ASSERT_EQ(come("HTTP/1.1 200 OK\r\n\r\nhello"), Step::final);
  peer_->end_sending();
  BodySource::Step end{};
  EXPECT_EQ(body(answer(), end), "hello");
  EXPECT_EQ(end, BodySource::Step::ended);
  EXPECT_EQ(stream_->take_reusable(), nullptr);
}

TEST_F(Http1UpstreamTest, AConnectionWhoseAnswerIsNotOverIsNotReusable) {
  for (const char* const begun : {"Content-Length: 5\r\n\r\n", "Content-Length: 5\r\n\r\nhel",
                                  "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}) {
    SCOPED_TRACE(begun);
    ask();
    ASSERT_EQ(come(std::string("HTTP/1.1 200 OK\r\n") + begun), Step::final);
    EXPECT_EQ(stream_->take_reusable(), nullptr) << "not even its body is known";
    BodySource::Step end{};
    body(answer(), end);
    EXPECT_EQ(end, BodySource::Step::blocked);
    EXPECT_EQ(stream_->take_reusable(), nullptr) << "the rest would be the next answer";
  }
}

TEST_F(Http1UpstreamTest, WhatMayEchoAKeyIsWipedWhenItsBlockGoesBack) {
  for (const bool sensitive : {false, true}) {
    // In a head, and in a body whose block is another.
    ask(sensitive);
    ASSERT_EQ(come("HTTP/1.1 200 OK\r\nA: THE-KEY\r\nContent-Length: 7\r\n\r\n"), Step::final);
    const char* const in_head = head_.headers.find("A")->value.data();
    BodySource& source = answer();
    const Buffer occupied = buffers_.take(BufferPool::kSmall);
    std::string_view bytes;
    settle();
    EXPECT_EQ(source.read(bytes), BodySource::Step::blocked);
    const std::string zeros(7, '\0'), key = "THE-KEY";
    EXPECT_EQ(std::string(in_head, 7), sensitive ? zeros : key);
    const Buffer first = buffers_.take(BufferPool::kSmall);
    EXPECT_LE(first.view().data(), in_head);
    EXPECT_LT(in_head, first.view().data() + first.capacity());
    peer_->send(key);
    settle();
    ASSERT_EQ(source.read(bytes), BodySource::Step::bytes);
    EXPECT_EQ(bytes, key);
    const char* const in_body = bytes.data();
    stream_.reset();
    EXPECT_EQ(std::string(in_body, 7), sensitive ? zeros : key);
  }
}

TEST_F(Http1UpstreamTest, HoldsNoBlockWhileItWaits) {
  ask();
  EXPECT_EQ(read(), Step::blocked);
  peer_->send("HTTP/1.1 103 E\r\nA: b\r\n\r\n");
  settle();
  std::size_t moved = 0;
  ASSERT_EQ(stream_->read_head(head_, moved), Step::interim);
  const char* const in_block = head_.reason.data();
  stream_->pass_interim();
  EXPECT_EQ(read(), Step::blocked);
  const Buffer next = buffers_.take(BufferPool::kSmall);
  EXPECT_LE(next.view().data(), in_block);
  EXPECT_LT(in_block, next.view().data() + next.capacity()) << "it went back";
  EXPECT_EQ(come("HTTP/1.1 200 OK\r\n\r\n"), Step::final);
}

TEST_F(Http1UpstreamTest, ALoginMakesItItsClients) {
  const Secret login = Secret::copy_of("NTLM AAAA"), token = Secret::copy_of("Bearer AAAA");
  struct Case {
    const Secret* written;
    bool told, belongs;
  };
  const Case cases[] = {{nullptr, false, false},
                        {&token, false, false},
                        {&login, false, true},
                        {nullptr, true, true}};
  for (const Case& row : cases) {
    exchange_.reset();
    exchange_.raw_path = "/";
    exchange_.request.headers.add("Authorization", "x");
    if (row.written != nullptr) {
      transforms::FieldRewrite& field =
          exchange_.rewrite_of(exchange_.request.headers.all().front());
      field.kind = transforms::FieldRewrite::Kind::whole;
      field.parts.push_back({0, 1, row.written});
    }
    ask();
    if (row.told) stream_->belong_to_client();
    EXPECT_EQ(connection_->belongs_to_client(), row.belongs);
  }
}

TEST_F(Http1UpstreamTest, WorksForItsUser) {
  Http1Upstream& stream = open();
  EXPECT_EQ(slot_, &connection_->connection);
  EXPECT_FALSE(stream.reused());
  connection_->reused = true;
  EXPECT_TRUE(stream.reused());
  EXPECT_FALSE(resets_on_close(connection_->connection));
  stream.reset();
  EXPECT_TRUE(resets_on_close(connection_->connection));
  stream_.reset();
  EXPECT_EQ(slot_, nullptr);
}

}  // namespace
}  // namespace iron::proxy
