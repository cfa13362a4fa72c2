#include "proxy/exchange/websocket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http1/http1_upstream.h"
#include "tests/proxy/stalled_reader.h"
#include "tests/proxy/stream_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;

// Those of RFC 6455 section 1.3.
constexpr const char* kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr const char* kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

using Fields = std::vector<std::pair<const char*, const char*>>;

TEST(WebSocketAccept, ProvesThatTheKeyWasRead) {
  struct Case {
    const char* name;
    Fields asked, answered;
    bool accepts;
  };
  const Fields key = {{"Sec-WebSocket-Key", kKey}};
  const Case cases[] = {
      {"it does", key, {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", kAccept}}, true},
      {"in any case of names and protocol",
       {{"sec-websocket-key", kKey}},
       {{"UPGRADE", "WebSocket"}, {"sec-websocket-accept", kAccept}},
       true},
      {"of another key",
       {{"Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="}},
       {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", kAccept}},
       false},
      {"in another case",
       key,
       {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="}},
       false},
      {"the key itself", key, {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", kKey}}, false},
      {"none", key, {{"Upgrade", "websocket"}}, false},
      {"an empty one", key, {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", ""}}, false},
      {"two",
       key,
       {{"Upgrade", "websocket"},
        {"Sec-WebSocket-Accept", kAccept},
        {"Sec-WebSocket-Accept", kAccept}},
       false},
      {"no protocol", key, {{"Sec-WebSocket-Accept", kAccept}}, false},
      {"another protocol", key, {{"Upgrade", "h2c"}, {"Sec-WebSocket-Accept", kAccept}}, false},
      {"no key", {}, {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", kAccept}}, false},
  };
  for (const Case& row : cases) {
    Request request;
    for (const auto& [name, value] : row.asked) request.headers.add(name, value);
    Response response;
    for (const auto& [name, value] : row.answered) response.headers.add(name, value);
    EXPECT_EQ(accepts_websocket(response, request), row.accepts) << row.name;
  }
}

/// A client and an origin whose connections were switched.
class WebSocketTest : public StreamTest {
 protected:
  ~WebSocketTest() override { end(); }

  void begin(bool sensitive = false, std::string_view behind_the_head = {}) {
    end();
    connect();
    ask("GET / HTTP/1.1\r\nHost: h.test\r\n\r\n");
    client().take_input(BufferPool::kSmall);
    client().input().append(behind_the_head);
    origin_ = std::make_unique<SocketEnds>();
    auto connection = std::make_unique<UpstreamConnection>(site().loop(), origin_->give_away());
    connection->connection.set_pause(&client().pause());
    upstream_.emplace(std::move(connection), client().upstream_slot(), site().secret_pages(),
                      site().buffers(), FaultText::quoting);
    recorded_.clear();
    over_ = false;
    spawn(relay(sensitive));
    settle();
  }
  /// Cuts what is under way.
  void end() {
    if (!upstream_) return;
    peer().close();
    origin_->close();
    settle();
    EXPECT_TRUE(over_);
    upstream_.reset();
  }
  SocketEnds& origin() { return *origin_; }
  bool over() {
    settle();
    return over_;
  }
  /// `up/down`, then who was silent, for each record; `late` for one behind the client's end.
  std::string recorded() {
    settle();
    return recorded_;
  }

 private:
  Task<void> relay(bool sensitive) {
    std::function<void(const WebSocketEnd&)> record = [this](const WebSocketEnd& ended) {
      if (!recorded_.empty()) recorded_ += " and ";
      recorded_ += std::to_string(ended.up) + "/" + std::to_string(ended.down);
      if (!ended.silence.empty()) recorded_.append(" ").append(ended.silence);
      if (peer().ended()) recorded_ += " late";
      const transforms::Exchange exchange;
      site().recorder().tunnel(client().arrival(), {}, "websocket", exchange);
    };
    co_await relay_websocket(stream(), *upstream_, site().buffers(), 60s, sensitive, record);
    over_ = true;
  }

  std::unique_ptr<SocketEnds> origin_;
  std::optional<Http1Upstream> upstream_;
  std::string recorded_;
  bool over_ = false;
};

TEST_F(WebSocketTest, WhatCameBehindTheHeadsGoesFirst) {
  begin(false, "first ");
  peer().send("then");
  settle();
  EXPECT_EQ(origin().received(), "first then");
}

TEST_F(WebSocketTest, OneRecordWhoeverEndsFirst) {
  enum class Who { client, origin, nobody };
  struct Case {
    const char* name;
    Who first, second;
    const char* after_first;
  };
  const Case cases[] = {
      {"the client, then the origin", Who::client, Who::origin, ""},
      {"the origin, then the client", Who::origin, Who::client, "2/4"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    begin();
    peer().send("up");
    origin().send("down");
    EXPECT_EQ(recorded(), "");
    (row.first == Who::client ? peer() : origin()).end_sending();
    EXPECT_EQ(recorded(), row.after_first);
    EXPECT_FALSE(over());
    SocketEnds& told = row.first == Who::client ? origin() : peer();
    EXPECT_EQ(told.received(), row.first == Who::client ? "up" : "down");
    EXPECT_TRUE(told.ended());
    (row.second == Who::client ? peer() : origin()).end_sending();
    EXPECT_EQ(recorded(), "2/4");
    EXPECT_TRUE(over());
  }
}

TEST_F(WebSocketTest, OneRecordHoweverItBreaks) {
  struct Case {
    const char* name;
    void (*breaks)(WebSocketTest&, SocketEnds& client, SocketEnds& origin, EventLoop& loop);
    const char* recorded;
  };
  const Case cases[] = {
      {"the client is gone",
       [](WebSocketTest&, SocketEnds& client, SocketEnds& origin, EventLoop&) {
         client.close();
         origin.send("more");
       },
       "2/0"},
      {"the origin is gone",
       [](WebSocketTest&, SocketEnds& client, SocketEnds& origin, EventLoop&) {
         origin.close();
         client.send("more");
       },
       "2/0"},
      {"a cut", [](WebSocketTest&, SocketEnds&, SocketEnds&, EventLoop& loop) { loop.cut_all(); },
       "2/0"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    begin();
    peer().send("up");
    settle();
    row.breaks(*this, peer(), origin(), site().loop());
    EXPECT_EQ(recorded(), row.recorded);
    EXPECT_TRUE(over());
  }
}

TEST_F(WebSocketTest, WhoTakesNothingIsNamed) {
  const std::string large(4 << 20, 'x');
  for (const bool up : {false, true}) {
    begin();
    SocketEnds& from = up ? peer() : origin();
    std::string_view left = large;
    while (!left.empty()) {
      const auto sent = ::send(from.descriptor(), left.data(), left.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      left.remove_prefix(static_cast<std::size_t>(sent));
      settle();
    }
    advance(59s);
    EXPECT_EQ(recorded(), "");
    advance(1s);
    const std::string said = recorded();
    EXPECT_TRUE(said.ends_with(up ? " upstream took no byte for 1m0s (proxy.limits.stall_timeout)"
                                  : " client took no byte for 1m0s (proxy.limits.stall_timeout)"))
        << said;
    EXPECT_TRUE(over());
  }
}

TEST_F(WebSocketTest, TheClientIsToldOfTheEndBehindTheRecord) {
  const StalledReader stalled;
  begin();
  site().log().writer().redirect_requests(stalled.give_away());
  origin().end_sending();
  EXPECT_EQ(recorded(), "0/0");
  EXPECT_FALSE(peer().ended()) << "the record is still on its way";
  advance(RecordBatch::kPatience);
  EXPECT_TRUE(peer().ended()) << "nobody reads it";
}

TEST_F(WebSocketTest, WhatMayShowAKeyIsWiped) {
  for (const bool sensitive : {false, true}) {
    begin(sensitive);
    origin().send("a key");
    settle();
    ASSERT_EQ(peer().received(), "a key");
    const Buffer last_used = site().buffers().take(BufferPool::kLarge);
    const std::string_view left(last_used.view().data(), 5);
    EXPECT_EQ(left, sensitive ? std::string_view("\0\0\0\0\0", 5) : "a key");
  }
}

}  // namespace
}  // namespace iron::proxy
