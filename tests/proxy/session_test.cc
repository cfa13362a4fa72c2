#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using Kind = Step::Kind;

/// Whole and proper messages: how they are cut into segments makes no difference.
const std::vector<Row> kProper = {
    {"an answer by length",
     {.steps = {client(kGet), origin(kOk)}},
     {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2",
      "session: open"}},
    {"one request after the other",
     {.steps = {client(kGet), origin(kOk), client("GET /b HTTP/1.1|" + kHost + "|"),
                origin("HTTP/1.1 404 No|Content-Length: 0||")}},
     {"client: " + kOkRelayed + "HTTP/1.1 404 No|Content-Length: 0|Date: <D>||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||GET /b HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "record: allow 404 0/0", "session: open"}},
    {"two requests at once",
     {.steps = {client(kGet + "GET /b HTTP/1.1|" + kHost + "|"), origin(kOk),
                origin("HTTP/1.1 404 No|Content-Length: 0||")}},
     {"client: " + kOkRelayed + "HTTP/1.1 404 No|Content-Length: 0|Date: <D>||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||GET /b HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "record: allow 404 0/0", "session: open"}},
    {"a line between two requests",
     {.steps = {client(kGet), origin(kOk), client("|" + kGet), origin(kOk)}},
     {"client: " + kOkRelayed + kOkRelayed,
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "record: allow 200 0/2", "session: open"}},
    {"a body by length",
     {.steps = {client("POST /a HTTP/1.1|" + kHost + "Content-Length: 5||hello"), origin(kOk)}},
     {"client: " + kOkRelayed, "origin: POST /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 5||hello",
      "record: allow 200 5/2", "session: open"}},
    {"a body in chunks",
     {.steps = {client("POST /a HTTP/1.1|" + kHost +
                       "Transfer-Encoding: chunked||2;x=\"y\"|he|3|llo|0|X-T: 1||"),
                origin(kOk)}},
     {"client: " + kOkRelayed,
      "origin: POST /a HTTP/1.1|Host: 10.0.0.1|Transfer-Encoding: chunked||{hello}0||",
      "record: allow 200 5/2", "session: open"}},
    {"an empty body in chunks",
     {.steps = {client("POST /a HTTP/1.1|" + kHost + "Transfer-Encoding: chunked||0||"),
                origin(kOk)}},
     {"client: " + kOkRelayed,
      "origin: POST /a HTTP/1.1|Host: 10.0.0.1|Transfer-Encoding: chunked||{}0||",
      "record: allow 200 0/2", "session: open"}},
    {"a body and the next request",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Content-Length: 2||hi" + kGet), origin(kOk),
                origin(kOk)}},
     {"client: " + kOkRelayed + kOkRelayed,
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 2||hiGET /a HTTP/1.1|Host: "
      "10.0.0.1||",
      "record: allow 200 2/2", "record: allow 200 0/2", "session: open"}},
    {"an answer in chunks",
     {.steps = {client(kGet),
                origin("HTTP/1.1 200 OK|Transfer-Encoding: chunked||1|o|1|k|0|X-T: 1||")}},
     {"client: HTTP/1.1 200 OK|Transfer-Encoding: chunked|Date: <D>||{ok}0||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: open"}},
    {"an answer in chunks with trailers that are asked for",
     {.steps = {client("GET /a HTTP/1.1|" + kHost + "TE: trailers||"),
                origin("HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0|X-T: 1||")}},
     {"client: HTTP/1.1 200 OK|Transfer-Encoding: chunked|Date: <D>||{ok}0|X-T: 1||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|TE: trailers||", "record: allow 200 0/2",
      "session: open"}},
    {"an answer until the end",
     {.steps = {client(kGet), origin("HTTP/1.1 200 OK||ok"), happens(Kind::origin_finishes)}},
     {"client: HTTP/1.1 200 OK|Date: <D>|Transfer-Encoding: chunked||{ok}0||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]", "record: allow 200 0/2", "session: open"}},
    {"an answer in chunks for an old client",
     {.steps = {client("GET /a HTTP/1.0|" + kHost + "|"),
                origin("HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0||")}},
     {"client: HTTP/1.0 200 OK|Date: <D>||ok[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "session: open"}},
    {"an old client that goes on",
     {.steps = {client("GET /a HTTP/1.0|" + kHost + "Connection: keep-alive||"), origin(kOk)}},
     {"client: HTTP/1.0 200 OK|Content-Length: 2|Date: <D>|Connection: keep-alive||ok",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: open"}},
    {"an old client",
     {.steps = {client("GET /a HTTP/1.0|" + kHost + "|"), origin(kOk)}},
     {"client: HTTP/1.0 200 OK|Content-Length: 2|Date: <D>||ok[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: open"}},
    {"an old origin",
     {.steps = {client(kGet), origin("HTTP/1.0 200 OK|Content-Length: 2||ok")}},
     {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: allow 200 0/2", "session: open"}},
    {"a client that closes",
     {.steps = {client("GET /a HTTP/1.1|" + kHost + "Connection: close||"), origin(kOk)}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>|Connection: close||ok[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: open"}},
    {"an origin that closes",
     {.steps = {client(kGet), origin("HTTP/1.1 200 OK|Connection: close|Content-Length: 2||ok")}},
     {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: allow 200 0/2", "session: open"}},
    {"HEAD",
     {.steps = {client("HEAD /a HTTP/1.1|" + kHost + "|"),
                origin("HTTP/1.1 200 OK|Content-Length: 2||"), client(kGet), origin(kOk)}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>||" + kOkRelayed,
      "origin: HEAD /a HTTP/1.1|Host: 10.0.0.1||GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/0", "record: allow 200 0/2", "session: open"}},
    {"204 and 304",
     {.steps = {client(kGet), origin("HTTP/1.1 204 No Content||"), client(kGet),
                origin("HTTP/1.1 304 Not Modified|Content-Length: 2||")}},
     {"client: HTTP/1.1 204 No Content|Date: <D>||HTTP/1.1 304 Not Modified|Content-Length: "
      "2|Date: <D>||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 204 0/0", "record: allow 304 0/0", "session: open"}},
    {"an expectation is met here",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Expect: 100-continue|Content-Length: 2||"),
                client("hi"), origin("HTTP/1.1 100 Continue||" + kOk)}},
     {"client: HTTP/1.1 100 Continue||" + kOkRelayed,
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Expect: 100-continue|Content-Length: 2||hi",
      "record: allow 200 2/2", "session: open"}},
    {"an expectation is met before the origin says anything",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Expect: 100-continue|Content-Length: 2||"),
                client("hi"), origin(kOk)}},
     {"client: HTTP/1.1 100 Continue||" + kOkRelayed,
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Expect: 100-continue|Content-Length: 2||hi",
      "record: allow 200 2/2", "session: open"}},
    {"interim answers",
     {.steps = {client(kGet),
                origin("HTTP/1.1 103 Early Hints|Link: x||HTTP/1.1 102 Wait||" + kOk)}},
     {"client: HTTP/1.1 103 Early Hints|Link: x||HTTP/1.1 102 Wait||" + kOkRelayed,
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: open"}},
    {"interim answers are nothing for an old client",
     {.steps = {client("GET /a HTTP/1.0|" + kHost + "|"),
                origin("HTTP/1.1 103 Early Hints||" + kOk)}},
     {"client: HTTP/1.0 200 OK|Content-Length: 2|Date: <D>||ok[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: open"}},
    {"absolute form",
     {.steps = {client("GET http://10.0.0.1/x?y HTTP/1.1|Host: other.test||"), origin(kOk)}},
     {"client: " + kOkRelayed, "origin: GET /x?y HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "session: open"}},
    {"fields of the hop",
     {.steps = {client("GET /a HTTP/1.1|" + kHost + "Connection: X-Own|X-Own: 1|X-End: 2||"),
                origin("HTTP/1.1 200 OK|Connection: X-Hop|X-Hop: 1|Content-Length: 0||")}},
     {"client: HTTP/1.1 200 OK|Content-Length: 0|Date: <D>||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|X-End: 2||", "record: allow 200 0/0",
      "session: open"}},
    {"the last hop",
     {.steps = {client("OPTIONS * HTTP/1.1|" + kHost + "Max-Forwards: 0||")}},
     {"client: HTTP/1.1 200 OK|Date: <D>|Content-Length: 0||", "origin: ", "record: allow 200 0/0",
      "session: open"}},
    {"refused by policy",
     {.steps = {client("GET /a HTTP/1.1|Host: 10.0.0.9||"), client(kGet), origin(kOk)}},
     {"client: " + kForbidden + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: reject 403 0/0 by allowlist", "record: allow 200 0/2", "session: open"}},
};

/// Refusals before a body has come: whether the connection goes on hangs on how much of it has.
const std::vector<Row> kRefused = {
    {"a small body is read",
     {.steps = {client("PUT /a HTTP/1.1|Host: 10.0.0.9|Content-Length: 9||ab"), client("cdefghi"),
                client(kGet), origin(kOk)}},
     {"client: " + kForbidden + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: reject 403 0/0 by allowlist", "record: allow 200 0/2", "session: open"}},
    {"a large one is not",
     {.steps = {client("PUT /a HTTP/1.1|Host: 10.0.0.9|Content-Length: 262145||ab")}},
     {"client: " + kForbiddenClosing + "[end]", "origin: ", "record: reject 403 0/0 by allowlist",
      "session: open"}},
    {"chunks that are there are read",
     {.steps = {client("PUT /a HTTP/1.1|Host: 10.0.0.9|Transfer-Encoding: chunked||1|a|0||" + kGet),
                origin(kOk)}},
     {"client: " + kForbidden + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: reject 403 0/0 by allowlist", "record: allow 200 0/2", "session: open"}},
    {"others are not",
     {.steps = {client("PUT /a HTTP/1.1|Host: 10.0.0.9|Transfer-Encoding: chunked||1|a|")}},
     {"client: " + kForbiddenClosing + "[end]", "origin: ", "record: reject 403 0/0 by allowlist",
      "session: open"}},
    {"an expectation is not met",
     {.steps = {client("PUT /a HTTP/1.1|Host: 10.0.0.9|Expect: 100-continue|Content-Length: 2||")}},
     {"client: " + kForbiddenClosing + "[end]", "origin: ", "record: reject 403 0/0 by allowlist",
      "session: open"}},
};

/// Answers that come while the client still sends.
const std::vector<Row> kEarly = {
    {"the body goes on beside the answer",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Content-Length: 4||ab"),
                origin("HTTP/1.1 200 OK|Content-Length: 2||o"), client("cd"), origin("k"),
                client(kGet), origin(kOk)}},
     {"client: " + kOkRelayed + kOkRelayed,
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 4||abcdGET /a HTTP/1.1|Host: "
      "10.0.0.1||",
      "record: allow 200 4/2", "record: allow 200 0/2", "session: open"}},
    {"whole before a small rest: that is read and dropped",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Content-Length: 4||ab"), origin(kOk),
                client("cd" + kGet)}},
     {"client: " + kOkRelayed + kBadGateway,
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 4||ab[end]", "record: allow 200 2/2",
      "record: error 502 0/0: dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in "
      "10.0.0.0/8",
      "session: open"}},
    {"whole before a large rest: the connection is closed",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Content-Length: 300000||ab"), origin(kOk),
                client("cd")},
      .link = Link::tcp},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>|Connection: close||ok[end]",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 300000||ab[end]",
      "record: allow 200 2/2", "session: open"}},
    {"whole before chunks that nobody knows",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Transfer-Encoding: chunked||2|ab|"),
                origin(kOk)}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>|Connection: close||ok[end]",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Transfer-Encoding: chunked||{ab}[end]",
      "record: allow 200 2/2", "session: open"}},
    {"the origin takes no more of the body, but answers",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Content-Length: 4||ab"), origin(kOk),
                happens(Kind::origin_closes), client("cd")}},
     {"client: " + kOkRelayed, "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 4||ab[end]",
      "record: allow 200 2/2", "session: open"}},
    {"whole while the origin does not take what is there of the body",
     {.steps = {happens(Kind::origin_stops_reading),
                client(kPut + "Content-Length: 12000||" + std::string(12000, 'x') + kGet),
                origin(kOk), happens(Kind::origin_reads_on), origin(kOk, 1)},
      .origins = 2,
      .origin_room = 1},
     {"client: " + kOkRelayed + kOkRelayed,
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 12000||x...[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 12000/2",
      "record: allow 200 0/2", "session: open"}},
    {"whole while a piece of the body waits where it came",
     {.steps = {client(kPut + "Content-Length: 20000||" + std::string(4000, 'x')),
                happens(Kind::origin_stops_reading), client(std::string(16000, 'x') + kGet),
                origin(kOk), happens(Kind::origin_reads_on), origin(kOk, 1)},
      .origins = 2,
      .origin_room = 1},
     {"client: " + kOkRelayed + kOkRelayed,
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 20000||x...[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 20000/2",
      "record: allow 200 0/2", "session: open"}},
    {"the client breaks off beside the answer",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Content-Length: 4||ab"),
                origin("HTTP/1.1 200 OK|Content-Length: 2||o"), happens(Kind::client_closes)}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>||o",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 4||ab[end]", "record: allow 200 2/1",
      "session: gone"}},
    {"the client ends its side beside the answer",
     {.steps = {client("PUT /a HTTP/1.1|" + kHost + "Content-Length: 4||ab"),
                origin("HTTP/1.1 200 OK|Content-Length: 2||o"), happens(Kind::client_finishes),
                origin("k")}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>||o[end]",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 4||ab[end]", "record: allow 200 2/1",
      "session: gone"}},
};

TEST(Session, ServesWhatIsProper) { expect_rows(kProper); }

TEST(Session, GoesOnBehindARefusalWhereItCan) { expect_rows(kRefused); }

TEST(Session, AnswersAreRelayedBesideTheBody) { expect_rows(kEarly); }

TEST(Session, ADeadConnectionIsReplacedByANewOne) {
  const Listener listener;
  const std::string request =
      "GET /a HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(listener.port()) + "\r\n\r\n";
  SessionRig rig;
  ScriptedPeer& dead = rig.add_origin("127.0.0.1", listener.port());
  ScriptedPeer& client = rig.connect();
  client.send(request);
  rig.settle();
  EXPECT_EQ(dead.received(), request);
  dead.close();
  ScriptedPeer* dialled = nullptr;
  ASSERT_TRUE(rig.settle_until([&] {
    const int accepted = dialled == nullptr ? listener.accept() : -1;
    if (accepted >= 0) dialled = &rig.adopt(accepted);
    return dialled != nullptr && dialled->received() == request;
  }));
  dialled->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(rig.settle_until([&] { return client.received().ends_with("\r\n\r\nok"); }));
  ASSERT_EQ(rig.records().size(), 1U);
  EXPECT_EQ(rig.records()[0].text(), "allow 200 0/2");
  EXPECT_EQ(client.end(), ScriptedPeer::End::none);
}

/// Two sides, of which one sends eight megabytes and the other reads nothing.
struct Flood {
  const char* name;
  std::string request, answer;
  bool upwards;
};

TEST(Session, NothingIsReadAheadOfWhoDoesNotRead) {
  const std::string large(8 << 20, 'x');
  const std::string length = "Content-Length: " + std::to_string(large.size()) + "\r\n\r\n";
  const std::string host = "Host: 10.0.0.1\r\n";
  const std::vector<Flood> floods = {
      {"answer", "GET /a HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 200 OK\r\n" + length + large,
       false},
      {"body", "PUT /a HTTP/1.1\r\n" + host + length + large, "", true},
      {"body beside an answer", "PUT /a HTTP/1.1\r\n" + host + length + large,
       "HTTP/1.1 200 OK\r\n" + length, true}};
  for (const Flood& flood : floods) {
    SessionRig rig;
    ScriptedPeer& origin = rig.add_origin();
    ScriptedPeer& client = rig.connect();
    ScriptedPeer& from = flood.upwards ? client : origin;
    ScriptedPeer& to = flood.upwards ? origin : client;
    to.read(false);
    client.send(flood.request);
    rig.settle();
    origin.send(flood.answer);
    rig.settle();
    EXPECT_GT(from.unsent(), 7U << 20) << flood.name;
    to.read(true);
    rig.settle();
    EXPECT_EQ(from.unsent(), 0U) << flood.name;
    EXPECT_TRUE(to.received().ends_with(large)) << flood.name;
  }
}

TEST(Session, SegmentsMakeNoDifference) {
  for (const Row& row : kProper) {
    for (const Split& split : splits_of(row.script)) {
      ASSERT_EQ(lines_of(run(row.script, split)), row.outcome)
          << row.name << ", step " << split.step << " cut at " << split.offset;
    }
  }
}

}  // namespace
}  // namespace iron::proxy::test
