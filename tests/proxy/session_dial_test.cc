#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Kind = Step::Kind;

const std::string kAsk = "GET /a HTTP/1.1|Host: 127.0.0.1:<P>||";
// The key and its answer are those of RFC 6455 section 1.3.
const std::string kUpgrade =
    "GET /a HTTP/1.1|Host: 127.0.0.1:<P>|Connection: Upgrade|Upgrade: websocket|"
    "Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||";
const std::string kSwitched =
    "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: websocket|"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=||";

Script dialled(std::vector<Step> steps) { return {.steps = std::move(steps), .dials = true}; }

const std::vector<Row> kDialled = {
    {"one connection for one request after the other",
     dialled({client(kAsk), origin(kOk), client(kAsk), origin(kOk)}),
     {"client: " + kOkRelayed + kOkRelayed,
      "origin: GET /a HTTP/1.1|Host: 127.0.0.1:<P>||GET /a HTTP/1.1|Host: 127.0.0.1:<P>||",
      "record: allow 200 0/2", "record: allow 200 0/2", "session: open"}},
    {"another one when that has ended",
     dialled(
         {client(kAsk), origin(kOk), happens(Kind::origin_closes), client(kAsk), origin(kOk, 1)}),
     {"client: " + kOkRelayed + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 127.0.0.1:<P>||",
      "origin: GET /a HTTP/1.1|Host: 127.0.0.1:<P>||", "record: allow 200 0/2",
      "record: allow 200 0/2", "session: open"}},
    // The connection is one that a request may be sent again by.
    {"none for a request that is cut",
     dialled({client(kAsk), origin(kOk), client(kAsk), happens(Kind::cut)}),
     {"client: " + kOkRelayed + "[end]",
      "origin: GET /a HTTP/1.1|Host: 127.0.0.1:<P>||GET /a HTTP/1.1|Host: 127.0.0.1:<P>||[reset]",
      "record: allow 200 0/2", "record: client_cancel 200 0/0", "session: gone"}},
    {"nobody answers there",
     dialled({client("GET /a HTTP/1.1|Host: 127.0.0.1:1||")}),
     {"client: " + kBadGateway,
      "record: error 502 0/0: dial tcp 127.0.0.1:<P>: connect: connection refused",
      "session: open"}},
};

const std::vector<Row> kWebSockets = {
    {"both ways",
     dialled({client(kUpgrade), origin(kSwitched), client("up"), origin("down")}),
     {"client: " + kSwitched + "down", "origin: " + kUpgrade + "up", "session: open"}},
    {"what comes with the heads",
     dialled({client(kUpgrade + "up"), origin(kSwitched + "down")}),
     {"client: " + kSwitched + "down", "origin: " + kUpgrade + "up", "session: open"}},
    {"the client ends first",
     dialled({client(kUpgrade), origin(kSwitched), happens(Kind::client_finishes), origin("down"),
              happens(Kind::origin_finishes)}),
     {"client: " + kSwitched + "down[end]", "origin: " + kUpgrade + "[end]",
      "record: allow 101 0/4", "session: gone"}},
    {"the origin ends first",
     dialled({client(kUpgrade), origin(kSwitched), happens(Kind::origin_finishes), client("up"),
              happens(Kind::client_finishes)}),
     {"client: " + kSwitched + "[end]", "origin: " + kUpgrade + "up[end]", "record: allow 101 0/0",
      "session: gone"}},
    {"nobody has to talk",
     dialled({client(kUpgrade), origin(kSwitched), pass(100h), client("up")}),
     {"client: " + kSwitched, "origin: " + kUpgrade + "up", "session: open"}},
    {"a wrong answer to the key",
     dialled({client(kUpgrade),
              origin("HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: "
                     "websocket|Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=||")}),
     {"client: " + kBadGateway, "origin: " + kUpgrade + "[end]",
      "record: error 502 0/0: upstream answered 101 with a wrong Sec-WebSocket-Accept",
      "session: open"}},
    {"refused by the origin",
     dialled({client(kUpgrade), origin(kOk), client(kAsk), origin(kOk)}),
     {"client: " + kOkRelayed + kOkRelayed, "origin: " + kUpgrade + kAsk, "record: allow 200 0/2",
      "record: allow 200 0/2", "session: open"}},
    {"a drain leaves it alone",
     dialled({client(kUpgrade), origin(kSwitched), happens(Kind::drain), client("up")}),
     {"client: " + kSwitched, "origin: " + kUpgrade + "up", "session: open"}},
    {"a cut ends it",
     dialled({client(kUpgrade), origin(kSwitched), client("up"), happens(Kind::cut)}),
     {"client: " + kSwitched + "[end]", "origin: " + kUpgrade + "up[end]", "record: allow 101 2/0",
      "session: gone"}},
    {"a reset of the origin",
     dialled({client(kUpgrade), origin(kSwitched), client("up"), happens(Kind::origin_resets)}),
     {"client: " + kSwitched + "[end]", "origin: " + kUpgrade + "up", "record: allow 101 2/0",
      "session: gone"}},
};

TEST(SessionDial, ConnectionsAreMadeAndKept) { expect_rows(kDialled); }

TEST(SessionDial, WebSocketsAreRelayed) { expect_rows(kWebSockets); }

}  // namespace
}  // namespace iron::proxy::test
