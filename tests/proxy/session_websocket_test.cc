#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/proxy/peer_exchanges.h"
#include "tests/proxy/websocket_peers.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Message = WebSocketEnd::Message;
using Lines = std::vector<std::string>;
const std::vector<Way> kWays = {Way::plain, Way::tunnel, Way::tunnel_tls};

/// A client and an origin with a WebSocket between them.
struct Chat {
  explicit Chat(Way way)
      : peers(way), at_origin(peers.origin()), client(peers.client(), peers.authority()) {
    EXPECT_EQ(client.refusal(), "");
  }
  WebSocketEnd& origin() { return at_origin.end(); }
  SessionRig& rig() { return peers.rig(); }

  PeerRig peers;
  WebSocketOrigin at_origin;
  WebSocketEnd client;
};

std::string every_byte() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

TEST(SessionWebSocket, MessagesArriveAsTheyWereSent) {
  const std::vector<Message> messages = {
      {.bytes = "hello", .text = true},   {.bytes = every_byte()},
      {.bytes = "", .text = true},        {.bytes = std::string(125, 'a'), .text = true},
      {.bytes = std::string(126, 'b')},   {.bytes = std::string(65535, 'c'), .text = true},
      {.bytes = std::string(65536, 'd')}, {.bytes = std::string(300000, 'e'), .text = true},
  };
  for (const Way way : kWays) {
    SCOPED_TRACE(name_of(way));
    Chat chat(way);
    for (const Message& message : messages) {
      chat.client.send(message);
      EXPECT_TRUE(chat.origin().read() == message) << message.bytes.size();
      chat.origin().send(message);
      EXPECT_TRUE(chat.client.read() == message) << message.bytes.size();
    }
    const Message joined{.bytes = "one" + std::string(20000, 'x') + "three", .text = true};
    const Lines parts = {"one", "", std::string(20000, 'x'), "three"};
    chat.client.send_parts(parts);
    EXPECT_TRUE(chat.origin().read() == joined);
    chat.origin().send_parts(parts);
    EXPECT_TRUE(chat.client.read() == joined);
    EXPECT_EQ(chat.peers.records(), Lines());
  }
}

/// OpenSSL holds it, so that there seems to be something to be read.
TEST(SessionWebSocket, HalfARecordStandsInNobodysWay) {
  Chat chat(Way::tunnel_tls);
  PeerStream& client = chat.peers.client().stream();
  client.write_all("of which half gets lost");
  client.peer().keep_unsent(client.peer().unsent() / 2);
  chat.rig().settle();
  EXPECT_EQ(client.peer().unsent(), 0U);
  chat.origin().send({.bytes = "down"});
  EXPECT_EQ(chat.client.read().bytes, "down");
}

TEST(SessionWebSocket, PingsAreAnsweredByTheOtherEnd) {
  for (const Way way : kWays) {
    SCOPED_TRACE(name_of(way));
    Chat chat(way);
    chat.client.ping("up");
    chat.client.send({.bytes = "a"});
    EXPECT_EQ(chat.origin().read().bytes, "a");
    EXPECT_EQ(chat.origin().controls(), Lines{"ping up"});
    chat.origin().ping("down");
    chat.origin().send({.bytes = "b"});
    EXPECT_EQ(chat.client.read().bytes, "b");
    EXPECT_EQ(chat.client.controls(), (Lines{"pong up", "ping down"}));
    chat.client.send({.bytes = "c"});
    EXPECT_EQ(chat.origin().read().bytes, "c");
    EXPECT_EQ(chat.origin().controls(), (Lines{"ping up", "pong down"}));
  }
}

TEST(SessionWebSocket, EitherSideCloses) {
  for (const Way way : kWays) {
    for (const bool by_client : {true, false}) {
      SCOPED_TRACE(std::string(name_of(way)) + (by_client ? ", client" : ", origin"));
      Chat chat(way);
      chat.client.send({.bytes = "hello", .text = true});
      EXPECT_EQ(chat.origin().read().bytes, "hello");
      chat.origin().send({.bytes = "world!!", .text = true});
      EXPECT_EQ(chat.client.read().bytes, "world!!");
      WebSocketEnd& first = by_client ? chat.client : chat.origin();
      WebSocketEnd& second = by_client ? chat.origin() : chat.client;
      second.read_on();
      EXPECT_EQ(first.close(1000, "bye"), "");
      EXPECT_EQ(second.controls(), Lines{"close 1000 bye"});
      ASSERT_EQ(second.messages().size(), 1U);
      EXPECT_EQ(second.messages()[0].fault,
                "The WebSocket stream was gracefully closed at both endpoints");
      chat.rig().settle();
      // Frames of 2 bytes, the client's with a mask of 4; a close has 2 bytes before its text, of
      // which Beast sends none back.
      const char* const record = by_client ? "allow 101 22/13" : "allow 101 19/16";
      EXPECT_EQ(chat.peers.records(), Lines{record});
      EXPECT_EQ(chat.rig().sessions(), 0U);
    }
  }
}

TEST(SessionWebSocket, LargeMessagesCrossWithoutBeingHeldHere) {
  constexpr std::size_t kSize = 24 << 20, kHeldBySystem = 16 << 20;
  for (const Way way : kWays) {
    SCOPED_TRACE(name_of(way));
    Chat chat(way);
    const Message up{.bytes = std::string(kSize, 'u')}, down{.bytes = std::string(kSize, 'd')};
    for (WebSocketEnd* end : {&chat.client, &chat.origin()}) {
      end->stream().raw().set_room(2 * kSize);
      end->stream().peer().read(false);
    }
    chat.client.send(up);
    chat.origin().send(down);
    chat.rig().settle();
    EXPECT_GT(chat.client.stream().peer().unsent(), kSize - kHeldBySystem);
    EXPECT_GT(chat.origin().stream().peer().unsent(), kSize - kHeldBySystem);
    for (WebSocketEnd* end : {&chat.client, &chat.origin()}) end->stream().peer().read(true);
    EXPECT_TRUE(chat.origin().read() == up);
    EXPECT_TRUE(chat.client.read() == down);
  }
}

/// How far a session has come when somebody leaves it.
enum class Point { open, spoken, within_frame };
/// As it should be, without a close_notify where there is TLS, and at once.
enum class Leave { properly, abruptly, closing };

void bring_to(Point point, WebSocketEnd& leaver, WebSocketEnd& other) {
  if (point == Point::open) return;
  leaver.send({.bytes = "hello"});
  EXPECT_EQ(other.read().bytes, "hello");
  if (point == Point::within_frame) leaver.stream().write_all("\x82\x7e");
}

TEST(SessionWebSocket, TheOtherSideIsToldWhenOneLeaves) {
  for (const Way way : kWays) {
    for (const bool by_client : {true, false}) {
      for (const Point point : {Point::open, Point::spoken, Point::within_frame}) {
        for (const Leave leave : {Leave::properly, Leave::abruptly, Leave::closing}) {
          SCOPED_TRACE(std::string(name_of(way)) + (by_client ? ", client " : ", origin ") +
                       std::to_string(static_cast<int>(point)) + " " +
                       std::to_string(static_cast<int>(leave)));
          Chat chat(way);
          WebSocketEnd& leaver = by_client ? chat.client : chat.origin();
          WebSocketEnd& other = by_client ? chat.origin() : chat.client;
          bring_to(point, leaver, other);
          chat.rig().settle();
          if (leave == Leave::properly) leaver.stream().finish();
          if (leave == Leave::abruptly) leaver.stream().peer().finish();
          if (leave == Leave::closing) leaver.stream().peer().close();
          EXPECT_EQ(other.read().fault, "End of file");
          chat.rig().advance(59s);
          EXPECT_EQ(chat.rig().sessions(), 1U);
          chat.rig().advance(1s);
          EXPECT_EQ(chat.rig().sessions(), 0U);
          const int spoken = point == Point::open ? 0 : point == Point::spoken ? 7 : 9;
          const int masks = by_client && point != Point::open ? 4 : 0;
          const std::string bytes = std::to_string(spoken + masks);
          EXPECT_EQ(chat.peers.records(),
                    Lines{by_client ? "allow 101 " + bytes + "/0" : "allow 101 0/" + bytes});
        }
      }
    }
  }
}

TEST(SessionWebSocket, AClientThatLeavesBeforeTheAnswerIsACancel) {
  for (const Way way : kWays) {
    SCOPED_TRACE(name_of(way));
    PeerRig peers(way);
    peers.origin().answer_with(nullptr);
    peers.client().send(peers.filled(
        {.start = "GET /chat HTTP/1.1",
         .fields = {"Host: <A>", "Connection: Upgrade", "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}}));
    peers.origin().await_requests(1);
    peers.client().peer().close();
    peers.rig().settle();
    peers.rig().advance(5s);
    EXPECT_EQ(peers.records(), Lines{"client_cancel 200 0/0"});
    EXPECT_EQ(peers.rig().sessions(), 0U);
  }
}

TEST(SessionWebSocket, WhatComesBehindOneEndStillArrives) {
  for (const Way way : kWays) {
    for (const bool by_client : {true, false}) {
      SCOPED_TRACE(std::string(name_of(way)) + (by_client ? ", client" : ", origin"));
      Chat chat(way);
      WebSocketEnd& first = by_client ? chat.client : chat.origin();
      WebSocketEnd& second = by_client ? chat.origin() : chat.client;
      first.stream().finish();
      chat.rig().settle();
      for (int i = 0; i < 3; ++i) {
        chat.rig().advance(19s);
        second.send({.bytes = std::string(100000, 'x')});
        EXPECT_EQ(first.read().bytes.size(), 100000U);
      }
      EXPECT_EQ(chat.rig().sessions(), 1U);
      second.stream().finish();
      EXPECT_EQ(first.read().fault, "End of file");
      chat.rig().settle();
      EXPECT_EQ(chat.rig().sessions(), 0U);
      // The record comes before the client is told of an end, and counts nothing behind it.
      const char* const record = by_client ? "allow 101 0/300030" : "allow 101 0/0";
      EXPECT_EQ(chat.peers.records(), Lines{record});
    }
  }
}

TEST(SessionWebSocket, ADrainWaitsForItAndACutDoesNot) {
  for (const Way way : kWays) {
    SCOPED_TRACE(name_of(way));
    Chat chat(way);
    chat.rig().site().begin_drain();
    chat.rig().settle();
    chat.client.send({.bytes = "up"});
    EXPECT_EQ(chat.origin().read().bytes, "up");
    chat.origin().send({.bytes = "down"});
    EXPECT_EQ(chat.client.read().bytes, "down");
    chat.rig().site().loop().cut_all();
    chat.rig().settle();
    EXPECT_EQ(chat.rig().sessions(), 0U);
    EXPECT_NE(chat.client.read().fault, "");
    EXPECT_NE(chat.origin().read().fault, "");
    EXPECT_EQ(chat.peers.records(), Lines{"allow 101 8/6"});
  }
}

/// What an origin answers in place of its 101, and what the client gets.
struct Declined {
  const char* name;
  WebMessage answer;
  const char *at_client, *record;
};

const std::vector<Declined> kDeclined = {
    {"200",
     {.start = "HTTP/1.1 200 OK", .body = "no chat", .framing = WebMessage::Framing::length},
     "200 no chat",
     "allow 200 0/7"},
    {"403 in chunks",
     {.start = "HTTP/1.1 403 Forbidden", .body = "no", .framing = WebMessage::Framing::chunked},
     "403 no",
     "allow 403 0/2"},
    {"a 101 that accepts another key",
     {.start = "HTTP/1.1 101 Switching Protocols",
      .fields = {"Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
     "502 bad gateway\n",
     "error 502 0/0: upstream answered 101 with a wrong Sec-WebSocket-Accept"},
    {"a 101 to another protocol",
     {.start = "HTTP/1.1 101 Switching Protocols",
      .fields = {"Connection: Upgrade", "Upgrade: other"}},
     "502 bad gateway\n",
     "error 502 0/0: upstream answered 101 with a wrong Sec-WebSocket-Accept"},
};

TEST(SessionWebSocket, AnOriginThatDeclines) {
  for (const Way way : kWays) {
    for (const Declined& row : kDeclined) {
      SCOPED_TRACE(std::string(name_of(way)) + ", " + row.name);
      PeerRig peers(way);
      peers.origin().answer_with([&](const WebMessage&) { return row.answer; });
      {
        const WebSocketEnd client(peers.client(), peers.authority());
        EXPECT_TRUE(client.refusal().starts_with(row.at_client)) << client.refusal();
      }
      peers.origin().answer_with([](const WebMessage&) {
        return WebMessage{.start = "HTTP/1.1 200 OK", .framing = WebMessage::Framing::length};
      });
      const WebMessage next =
          peers.client().ask(peers.filled({.start = "GET /a HTTP/1.1", .fields = {"Host: <A>"}}));
      EXPECT_EQ(next.status(), 200) << next.fault;
      EXPECT_EQ(peers.records(), (Lines{row.record, "allow 200 0/0"}));
      EXPECT_EQ(peers.leftovers(), "");
    }
  }
}

}  // namespace
}  // namespace iron::proxy::test
