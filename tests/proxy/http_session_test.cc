#include "proxy/client/http_session.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Kind = Step::Kind;

const std::string kRefused = "record: reject 400 0/0 by protocol: malformed request";
const std::string kTooLarge =
    "HTTP/1.1 431 Request Header Fields Too Large|Content-Type: text/plain; "
    "charset=utf-8|Connection: close||431 Request Header Fields Too Large[end]";

Script within(std::vector<Step> steps, const policy::Limits& limits, Entry entry = Entry::http) {
  Script script{.steps = std::move(steps), .entry = entry};
  script.config.proxy.limits = limits;
  return script;
}

TEST(HttpSession, LimitsOfAHead) {
  policy::Limits bytes, fields, connect;
  const std::string request = "GET /a HTTP/1.1|" + kHost + "|";
  bytes.request_head_bytes = static_cast<std::int64_t>(client(request).bytes.size());
  fields.request_head_fields = 2;
  const std::string tunnel = "CONNECT 10.0.0.1:80 HTTP/1.1|" + kHost + "|";
  connect.connect_head_bytes = static_cast<std::int64_t>(client(tunnel).bytes.size());
  const std::string longer = "GET /ab HTTP/1.1|" + kHost + "|";
  const std::string refusal = "record: reject 431 0/0 by protocol: request head too large";
  expect_rows({
      {"as many bytes",
       within({client(request), origin(kOk)}, bytes),
       {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", "session: open"}},
      {"one more",
       within({client(longer)}, bytes),
       {"client: " + kTooLarge, "origin: ", refusal, "session: open"}},
      {"of each request alone",
       within({client(request + request), origin(kOk), origin(kOk)}, bytes),
       {"client: " + kOkRelayed + kOkRelayed,
        "origin: GET /a HTTP/1.1|Host: 10.0.0.1||GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", "record: allow 200 0/2", "session: open"}},
      {"as many fields",
       within({client("GET /a HTTP/1.1|" + kHost + "A: 1||"), origin(kOk)}, fields),
       {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1|A: 1||",
        "record: allow 200 0/2", "session: open"}},
      {"one field more",
       within({client("GET /a HTTP/1.1|" + kHost + "A: 1|B: 2||")}, fields),
       {"client: " + kTooLarge, "origin: ", refusal, "session: open"}},
      {"as many bytes of a CONNECT",
       within({client(tunnel)}, connect, Entry::tunnel),
       {"client: HTTP/1.1 200 Connection Established||", "origin: ", "record: allow 200 0/0",
        "session: open"}},
      {"one more of a CONNECT",
       within({client("CONNECT 10.0.0.1:080 HTTP/1.1|" + kHost + "|")}, connect, Entry::tunnel),
       {"client: " + kTooLarge, "origin: ", refusal, "session: open"}},
  });
}

TEST(HttpSession, TimeForAHead) {
  const std::string half = "GET /a HT";
  const std::string record = kRefused;
  expect_rows({
      {"a second one has its own",
       {.steps = {client(kGet), origin(kOk), pass(100s), client("GET"), pass(19s),
                  client(" /a HTTP/1.1|" + kHost + "|")}},
       {"client: " + kOkRelayed + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
        "record: allow 200 0/2",
        "record: error 502 0/0: dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in "
        "10.0.0.0/8",
        "session: open"}},
      {"no longer than that",
       {.steps = {client(kGet), origin(kOk), client("GET"), pass(20s)}},
       {"client: " + kOkRelayed + "[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", record, "session: gone"}},
      {"less on the port of tunnels: not yet",
       {.steps = {client("CONNECT"), pass(9s)}, .entry = Entry::tunnel},
       {"client: ", "origin: ", "session: open"}},
      {"less on the port of tunnels",
       {.steps = {client("CONNECT x HTTP/1.1|"), pass(10s)}, .entry = Entry::tunnel},
       {"client: [end]", "origin: ", record, "session: gone"}},
      {"as much in a tunnel as elsewhere",
       {.steps = {client("CONNECT 10.0.0.1:80 HTTP/1.1||GET /a"), pass(19s)},
        .entry = Entry::tunnel},
       {"client: HTTP/1.1 200 Connection Established||", "origin: ", "record: allow 200 0/0",
        "session: open"}},
      {"none is timed when it is whole",
       {.steps = {client(half), pass(19s), client("TP/1.1|" + kHost + "|"), pass(25s),
                  origin(kOk)}},
       {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", "session: open"}},
  });
}

TEST(HttpSession, WhoDoesNotTakeAnswersOfOursHasTheTimeOfTheLastReload) {
  policy::Limits limits;
  limits.stall_timeout = 10s;
  std::string requests;
  for (int i = 0; i < 500; ++i) requests += "GET /a HTTP/1.1\r\nHost: 10.0.0.9\r\n\r\n";
  SessionRig rig;
  ScriptedPeer& client = rig.connect(Entry::http, Link::local, 1);
  rig.settle();
  rig.reload(within({}, limits).config);
  client.read(false);
  client.send(requests);
  rig.settle();
  EXPECT_LT(rig.records().size(), 500U) << "there is no room for so many answers";
  rig.advance(9s);
  EXPECT_EQ(rig.sessions(), 1U);
  rig.advance(1s);
  EXPECT_EQ(rig.sessions(), 0U);
}

TEST(HttpSession, WhatIsKnownOfAHeadMovesWithIt) {
  SessionRig rig;
  ScriptedPeer& origin = rig.add_origin();
  ScriptedPeer& client = rig.connect();
  const std::string head =
      "GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\nX-One: 1\r\nX-Long: " + std::string(20000, 'x');
  client.send(head);
  rig.settle();
  // Another one gets the block in which the head began.
  ScriptedPeer& other = rig.connect();
  other.send("GET /" + std::string(10000, 'y'));
  rig.settle();
  client.send("\r\n\r\n");
  rig.settle();
  EXPECT_EQ(origin.received(), head + "\r\n\r\n");
}

TEST(HttpSession, OneBlankLineBetweenTwoRequests) {
  expect_rows({
      {"one, in two pieces",
       {.steps = {client(kGet), origin(kOk), client("\r"), client("\n" + kGet), origin(kOk)}},
       {"client: " + kOkRelayed + kOkRelayed,
        "origin: GET /a HTTP/1.1|Host: 10.0.0.1||GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", "record: allow 200 0/2", "session: open"}},
      {"half of one, and the time is over",
       {.steps = {client(kGet), origin(kOk), pass(200s), client("\r"), pass(100s)}},
       {"client: " + kOkRelayed + "[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
        "record: allow 200 0/2", "session: gone"}},
      {"half of one, and the end",
       {.steps = {client(kGet), origin(kOk), client("\r"), happens(Kind::client_finishes)}},
       {"client: " + kOkRelayed + "[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", "session: gone"}},
      {"two",
       {.steps = {client(kGet), origin(kOk), client("||" + kGet)}},
       {"client: " + kOkRelayed + kBadRequest + "[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", kRefused, "session: open"}},
      {"none before the first",
       {.steps = {client("|" + kGet)}},
       {"client: " + kBadRequest + "[end]", "origin: ", kRefused, "session: open"}},
      {"half of one before something else",
       {.steps = {client(kGet), origin(kOk), client("\r" + kGet)}},
       {"client: " + kOkRelayed + kBadRequest + "[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", kRefused, "session: open"}},
  });
}

TEST(HttpSession, WhatIsServedWhere) {
  const std::string not_here = "client: HTTP/1.1 405 Method Not Allowed||[end]";
  const std::string record = "record: reject 405 0/0 by protocol: method not allowed here";
  expect_rows({
      {"https in clear on the port of tunnels",
       {.steps = {client("GET https://10.0.0.1/ HTTP/1.1|" + kHost + "|")}, .entry = Entry::tunnel},
       {not_here, "origin: ", record, "session: open"}},
      {"the scheme in any case",
       {.steps = {client("GET HTTP://10.0.0.1/a HTTP/1.1|" + kHost + "|"), origin(kOk)},
        .entry = Entry::tunnel},
       {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", "session: open"}},
      {"a ClientHello where heads are read",
       {.steps = {client("\x16\x03\x01")}},
       {"client: " + kBadRequest + "[end]", "origin: ", kRefused, "session: open"}},
      {"garbage on the port of tunnels, behind an answer",
       {.steps = {client("GET http://10.0.0.1/a HTTP/1.1|" + kHost + "|"), origin(kOk),
                  client("nonsense||")},
        .entry = Entry::tunnel},
       {"client: " + kOkRelayed + "[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
        "record: allow 200 0/2", "session: open"}},
      {"a CONNECT that is broken has an answer there",
       {.steps = {client("CONNECT 10.0.0.1:80 HTTP/1.1|X y: 1||")}, .entry = Entry::tunnel},
       {"client: HTTP/1.1 400 Bad Request: invalid header name|Content-Type: text/plain; "
        "charset=utf-8|Connection: close||400 Bad Request: invalid header name[end]",
        "origin: ", kRefused, "session: open"}},
      {"so has one of another version",
       {.steps = {client("CONNECT 10.0.0.1:80 HTTP/2.0||")}, .entry = Entry::tunnel},
       {"client: HTTP/1.1 505 HTTP Version Not Supported: unsupported protocol "
        "version|Content-Type: "
        "text/plain; charset=utf-8|Connection: close||505 HTTP Version Not Supported: unsupported "
        "protocol version[end]",
        "origin: ", "record: reject 505 0/0 by protocol: unsupported protocol version",
        "session: open"}},
      {"the host is told before a name that is none",
       {.steps = {client("GET /a HTTP/1.1|X y: 1||")}},
       {"client: " + kMissingHost + "[end]",
        "origin: ", "record: reject 400 0/0 by protocol: missing Host header", "session: open"}},
  });
}

TEST(HttpSession, RefusalsAreRecordedWithWhatTheHeadTells) {
  struct Case {
    const char* head;
    const char *method, *host, *path;
  };
  const Case cases[] = {
      {"GET /a?key HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: x\r\n\r\n", "GET", "10.0.0.1",
       "/a"},
      {"GET /a?key HTTP/1.1\r\n\r\n", "GET", "", "/a"},
      {"GET http://10.0.0.1:x/a?key HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", "GET", "10.0.0.1:x",
       "http://10.0.0.1:x/a"},
      {"CONNECT 10.0.0.1:80 HTTP/1.1\r\nContent-Length: x\r\n\r\n", "CONNECT", "10.0.0.1:80", ""},
      {"nonsense\r\n\r\n", "", "", ""},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.head);
    SessionRig rig;
    rig.connect().send(row.head);
    rig.settle();
    ASSERT_EQ(rig.records().size(), 1U);
    EXPECT_EQ(rig.records()[0].method, row.method);
    EXPECT_EQ(rig.records()[0].host, row.host);
    EXPECT_EQ(rig.records()[0].path, row.path);
  }
}

TEST(HttpSession, ALargeHeadCountsAsABodyInMemory) {
  const std::string head = "GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\nX: " + std::string(70000, 'x');
  for (const std::int64_t budget : {1 << 18, (1 << 18) - 1}) {
    policy::Config config = SessionRig::usual_config();
    config.proxy.limits.body_budget_bytes = budget;
    SessionRig rig(config);
    ScriptedPeer& origin = rig.add_origin();
    rig.connect().send(head + "\r\n\r\n");
    rig.settle();
    EXPECT_EQ(origin.received(), budget < 1 << 18 ? "" : head + "\r\n\r\n");
    EXPECT_EQ(rig.records().size(), budget < 1 << 18 ? 1U : 0U);
  }
}

}  // namespace
}  // namespace iron::proxy::test
