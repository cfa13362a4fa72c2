#include "proxy/exchange/request_body.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/proxy/stream_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

constexpr transforms::BodyNeed kWhole{.whole = true, .prefix = 0};
constexpr transforms::BodyNeed first(std::size_t bytes) {
  return {.whole = false, .prefix = bytes};
}

const std::string kPut = "PUT / HTTP/1.1\r\nHost: h.test\r\n";
const std::string kChunked = kPut + "Transfer-Encoding: chunked\r\n\r\n";
const std::string kChunks = "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
std::string by_length(std::size_t length) {
  return kPut + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

class RequestBodyTest : public StreamTest {
 protected:
  ~RequestBodyTest() override { forget(); }

  /// A new client, whose request has this head.
  void begin(const std::string& head) {
    forget();
    connect();
    ask(head);
    view_ = {};
    body_.emplace(budget(), site().buffers());
  }
  /// Begins to load; said() tells what came of it.
  void load(const transforms::BodyNeed& need) {
    result_.reset();
    spawn(load_into(need));
    settle();
  }
  std::string said() {
    settle();
    if (!result_) return "waits";
    std::string text = view_.loaded ? view_.complete ? "whole" : "part" : "nothing";
    if (view_.failed) text += ", broken off";
    if (result_->has_value()) return text;
    const Error& error = result_->error();
    switch (error.fault) {
      case Fault::body_too_large:
        return text + ", too large: " + error.text;
      case Fault::no_budget:
        return text + ", no budget: " + error.text;
      case Fault::bad_request:
        return text + ", broken: " + error.text;
      case Fault::client_silent:
        return text + ", silent: " + error.text;
      case Fault::client_gone:
        return text + ", gone: " + error.text;
      default:
        return text + ", failed: " + error.text;
    }
  }
  /// How much of the budget of all bodies is held.
  std::int64_t held() {
    std::int64_t free = 0;
    for (std::int64_t step = 1 << 22; step > 0; step /= 2) {
      if (budget().take(free + step)) {
        budget().give_back(free + step);
        free += step;
      }
    }
    return kBudget - free;
  }
  /// Ends what is under way.
  void forget() {
    peer().close();
    settle();
    body_.reset();
  }

  static constexpr std::int64_t kBudget = 1 << 22;
  policy::Config::Proxy config_;
  std::optional<RequestBody> body_;
  transforms::BodyView view_;

 private:
  Task<void> load_into(transforms::BodyNeed need) {
    Result<void> loaded = co_await body_->load(stream(), config_, need, view_);
    result_ = std::move(loaded);
  }
  std::optional<Result<void>> result_;
};

TEST_F(RequestBodyTest, WholeOrItsBeginning) {
  struct Case {
    const char* name;
    std::string head, sent;
    transforms::BodyNeed need;
    const char *said, *bytes;
  };
  const Case cases[] = {
      {"whole", by_length(5), "hello", kWhole, "whole", "hello"},
      {"whole, but it is not here", by_length(5), "hell", kWhole, "waits", ""},
      {"whole, and the next request", by_length(5), "helloGET /", kWhole, "whole", "hello"},
      {"in chunks", kChunked, kChunks, kWhole, "whole", "hello!"},
      {"in chunks without their end", kChunked, "5\r\nhello\r\n", kWhole, "waits", ""},
      {"an empty one in chunks", kChunked, "0\r\n\r\n", kWhole, "whole", ""},
      {"none", kPut + "\r\n", "", kWhole, "whole", ""},
      {"its beginning", by_length(9), "hello", first(5), "part", "hello"},
      {"its beginning, but less is here", by_length(9), "hell", first(5), "waits", ""},
      {"its beginning is all of it", by_length(5), "hello", first(5), "whole", "hello"},
      {"it ends before", by_length(5), "hello", first(6), "whole", "hello"},
      {"chunks end before", kChunked, kChunks, first(7), "whole", "hello!"},
      {"the first chunk is enough", kChunked, kChunks, first(5), "part", "hello"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    begin(row.head);
    peer().send(row.sent);
    load(row.need);
    EXPECT_EQ(said(), row.said);
    EXPECT_EQ(view_.bytes, row.bytes);
  }
}

TEST_F(RequestBodyTest, MoreOfItIsReadBehindWhatIsThere) {
  begin(by_length(9));
  peer().send("begin");
  load(first(3));
  ASSERT_EQ(said(), "part");
  load(first(5));
  EXPECT_EQ(said(), "part") << "that is here already";
  load(kWhole);
  EXPECT_EQ(said(), "waits");
  peer().send("-end");
  EXPECT_EQ(said(), "whole");
  EXPECT_EQ(view_.bytes, "begin-end");
}

TEST_F(RequestBodyTest, NoLargerThanTheLimitOfOne) {
  struct Case {
    const char* name;
    std::string head, sent;
    transforms::BodyNeed need;
    std::int64_t limit;
    const char* said;
    std::uint64_t left_out;
  };
  const char* const too_large = "nothing, too large: request body exceeds max_request_body_bytes";
  const Case cases[] = {
      {"by length, up to it", by_length(6), "hello!", kWhole, 6, "whole", 0},
      {"by length, before a byte came", by_length(7), "", kWhole, 6, too_large, 0},
      {"in chunks, up to it", kChunked, kChunks, kWhole, 6, "whole", 0},
      {"in chunks, the first", kChunked, kChunks, kWhole, 4, too_large, 5},
      {"in chunks, the second", kChunked, kChunks, kWhole, 5, too_large, 1},
      {"none", kChunked, kChunks, kWhole, 0, "whole", 0},
      {"none, in another way", kChunked, kChunks, kWhole, -1, "whole", 0},
      {"of a beginning", by_length(7), "hello!", first(6), 3, "part", 0},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    config_.max_request_body_bytes = row.limit;
    begin(row.head);
    peer().send(row.sent);
    load(row.need);
    EXPECT_EQ(said(), row.said);
    EXPECT_EQ(body_->left_out(), row.left_out);
  }
}

TEST_F(RequestBodyTest, TheBudgetIsTakenInStepsAndGivenBack) {
  budget().set_limit(kBudget);
  struct Case {
    std::size_t size;
    std::int64_t held;
  };
  constexpr Case cases[] = {
      {16384, 0}, {16385, 65536}, {65536, 65536}, {65537, 262144}, {300000, 1048576},
  };
  for (const Case& row : cases) {
    for (const std::size_t at_a_time : {1000U, 70000U}) {
      SCOPED_TRACE(testing::Message() << row.size << " by " << at_a_time);
      config_.max_request_body_bytes = 0;
      begin(by_length(row.size));
      load(kWhole);
      const std::string sent(row.size, 'x');
      for (std::size_t at = 0; at < sent.size(); at += at_a_time) {
        peer().send(std::string_view(sent).substr(at, at_a_time));
        settle();
      }
      EXPECT_EQ(said(), "whole");
      EXPECT_EQ(view_.bytes, sent);
      EXPECT_EQ(held(), row.held);
      view_ = {};
      body_->forget();
      EXPECT_EQ(held(), 0);
    }
  }
}

TEST_F(RequestBodyTest, WhatTheBudgetDoesNotHold) {
  config_.max_request_body_bytes = 0;
  for (const std::int64_t limit : {65535, 65536}) {
    budget().set_limit(limit);
    begin(by_length(20000));
    load(kWhole);
    peer().send(std::string(16000, 'x'));
    EXPECT_EQ(said(), "waits");
    peer().send(std::string(4000, 'y'));
    EXPECT_EQ(said(), limit == 65536 ? "whole" : "nothing, no budget: body budget exhausted");
    EXPECT_EQ(body_->left_out(), limit == 65536 ? 0U : 4000U);
  }
}

TEST_F(RequestBodyTest, AClientThatWaitsIsToldToGoOnOnce) {
  const std::string expects = "Expect: 100-continue\r\n";
  begin(kPut + expects + "Content-Length: 9\r\n\r\n");
  load(first(3));
  EXPECT_EQ(peer().received(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer().send("begin");
  EXPECT_EQ(said(), "part");
  load(kWhole);
  peer().send("-end");
  EXPECT_EQ(said(), "whole");
  EXPECT_EQ(peer().received(), "");

  config_.max_request_body_bytes = 8;
  begin(kPut + expects + "Content-Length: 9\r\n\r\n");
  load(kWhole);
  EXPECT_TRUE(said().starts_with("nothing, too large")) << said();
  EXPECT_EQ(peer().received(), "") << "nobody is asked for what is refused";

  begin(kPut + expects + "Content-Length: 3\r\n\r\n");
  peer().close();
  load(kWhole);
  EXPECT_EQ(said(), "nothing, gone: client gone");
}

/// Every beginning of a body, and what of it is body.
struct Beginning {
  std::string sent, body;
};
std::vector<Beginning> beginnings(bool chunked) {
  std::vector<Beginning> all;
  const std::string message = chunked ? kChunks : "hello!";
  for (std::size_t size = 0; size < message.size(); ++size) {
    std::string body = message.substr(0, size);
    if (chunked) {
      body = message.substr(3, size < 3 ? 0 : std::min<std::size_t>(size - 3, 5));
      if (size > 13) body += "!";
    }
    all.push_back({message.substr(0, size), body});
  }
  return all;
}

TEST_F(RequestBodyTest, AClientThatBreaksOffAnywhere) {
  for (const bool chunked : {false, true}) {
    for (const Beginning& row : beginnings(chunked)) {
      SCOPED_TRACE(row.sent);
      begin(chunked ? kChunked : by_length(6));
      load(kWhole);
      peer().send(row.sent);
      EXPECT_EQ(said(), "waits");
      peer().end_sending();
      EXPECT_EQ(said(), "part, broken off, gone: unexpected EOF");
      EXPECT_EQ(view_.bytes, row.body) << "transforms see what came";
    }
  }
}

TEST_F(RequestBodyTest, AClientThatFallsSilentAnywhere) {
  config_.limits.stall_timeout = 60s;
  for (const bool chunked : {false, true}) {
    for (const Beginning& row : beginnings(chunked)) {
      SCOPED_TRACE(row.sent);
      begin(chunked ? kChunked : by_length(6));
      load(kWhole);
      advance(59s);
      peer().send(row.sent);
      advance(row.sent.empty() ? 0s : 59s);
      EXPECT_EQ(said(), "waits");
      advance(1s);
      EXPECT_EQ(said(),
                "part, broken off, silent: no byte from client for 1m0s "
                "(proxy.limits.stall_timeout)");
      EXPECT_EQ(view_.bytes, row.body);
    }
  }
}

TEST_F(RequestBodyTest, ItsBeginningMayTakeLonger) {
  config_.limits.stall_timeout = 60s;
  config_.limits.quiet_timeout = 1h;
  begin(by_length(6));
  load(first(3));
  advance(59min);
  EXPECT_EQ(said(), "waits");
  advance(1min);
  EXPECT_EQ(
      said(),
      "part, broken off, silent: no byte from client for 1h0m0s (proxy.limits.quiet_timeout)");
}

TEST_F(RequestBodyTest, NothingIsTimedBehindIt) {
  begin(by_length(6));
  load(kWhole);
  peer().send("hello!");
  ASSERT_EQ(said(), "whole");
  advance(100h);
  EXPECT_FALSE(client().pause().expired());
}

TEST_F(RequestBodyTest, BrokenFramingAnywhere) {
  for (const std::size_t at : {0, 1, 2, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18}) {
    SCOPED_TRACE(at);
    std::string sent = kChunks;
    sent[at] = '*';
    begin(kChunked);
    load(kWhole);
    peer().send(sent);
    EXPECT_EQ(said(), "nothing, broken: malformed request");
  }
}

TEST_F(RequestBodyTest, ACutEndsTheWait) {
  begin(by_length(6));
  load(kWhole);
  peer().send("he");
  EXPECT_EQ(said(), "waits");
  site().loop().cut_all();
  EXPECT_EQ(said(), "part, broken off, gone: unexpected EOF");
}

}  // namespace
}  // namespace iron::proxy
