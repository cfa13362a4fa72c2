#include "proxy/exchange/exchange_run.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/dateless.h"
#include "tests/proxy/dialer_rig.h"
#include "tests/proxy/session_script.h"
#include "tests/proxy/stalled_reader.h"

namespace iron::proxy::test {
namespace {

using Kind = Step::Kind;

const std::string kDenied =
    "dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in 10.0.0.0/8";

TEST(ExchangeRun, AnIdempotentRequestWithoutABodyIsSentAgainWhenAPooledConnectionDied) {
  struct Case {
    std::string head;
    bool again;
  };
  const Case cases[] = {
      {"GET /a HTTP/1.1|" + kHost + "|", true},
      {"HEAD /a HTTP/1.1|" + kHost + "|", true},
      {"OPTIONS /a HTTP/1.1|" + kHost + "|", true},
      {"TRACE /a HTTP/1.1|" + kHost + "|", true},
      {"DELETE /a HTTP/1.1|" + kHost + "|", true},
      {"PUT /a HTTP/1.1|" + kHost + "|", true},
      {"POST /a HTTP/1.1|" + kHost + "|", false},
      {"PATCH /a HTTP/1.1|" + kHost + "|", false},
      {"get /a HTTP/1.1|" + kHost + "|", false},
      {"QUERY /a HTTP/1.1|" + kHost + "|", false},
      {"GET /a HTTP/1.1|" + kHost + "Content-Length: 1||b", false},
      {"GET /a HTTP/1.1|" + kHost + "Transfer-Encoding: chunked||0||", false},
  };
  for (const Case& row : cases) {
    const Outcome outcome = run({.steps = {client(row.head), happens(Kind::origin_closes)}});
    ASSERT_EQ(outcome.records.size(), 1U) << row.head;
    EXPECT_EQ(outcome.records[0].ends_with(": " + (row.again ? kDenied : "EOF")), true)
        << row.head << outcome.records[0];
  }
}

TEST(ExchangeRun, WhatReplacesADeadConnectionIsANewOne) {
  const Outcome outcome =
      run({.steps = {client(kGet), happens(Kind::origin_closes)}, .origins = 2});
  EXPECT_EQ(outcome.records, std::vector<std::string>{"error 502 0/0: " + kDenied});
  EXPECT_EQ(outcome.origins.at(1), "") << "the others of the pool may be as dead";
}

TEST(ExchangeRun, ANewConnectionThatDiesIsNotReplaced) {
  const Outcome outcome =
      run({.steps = {client("GET /a HTTP/1.1|Host: 127.0.0.1:<P>||"), happens(Kind::origin_closes)},
           .dials = true});
  EXPECT_EQ(outcome.origins.size(), 1U);
  EXPECT_EQ(outcome.records, std::vector<std::string>{"error 502 0/0: EOF"});
}

TEST(ExchangeRun, AnUpgradeTakesNoConnectionOfAll) {
  SessionRig rig;
  const ScriptedPeer& origin = rig.add_origin();
  ScriptedPeer& client = rig.connect();
  client.send(
      "GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  rig.settle();
  EXPECT_EQ(origin.received(), "");
  ASSERT_EQ(rig.records().size(), 1U);
  EXPECT_EQ(rig.records()[0].text(), "error 502 0/0: " + kDenied);
  const std::string notes = rig.notes();
  EXPECT_NE(
      notes.find(R"("level":"ERROR","msg":"websocket upstream dial failed","host":"10.0.0.1",)"
                 R"("error":"dial tcp 10.0.0.1:80: denied)"),
      notes.npos)
      << notes;
}

TEST(ExchangeRun, ThatNobodyCouldBeDialledIsALineForAnUpgradeAlone) {
  SessionRig rig;
  rig.connect().send("GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
  rig.settle();
  ASSERT_EQ(rig.records().size(), 1U);
  EXPECT_EQ(rig.records()[0].text(), "error 502 0/0: " + kDenied);
  EXPECT_EQ(rig.notes().find("dial failed"), std::string::npos) << "its record says it";
}

TEST(ExchangeRun, ThatTheClientLeftAnUpgradeIsNoLine) {
  const Origin slow("127.0.0.1", 0, true);
  SessionRig rig;
  ScriptedPeer& client = rig.connect(Entry::http, Link::tcp);
  client.send("GET /a HTTP/1.1\r\nHost: " + slow.address() +
              "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  int looks = 0;
  ASSERT_TRUE(rig.settle_until([&] { return ++looks > 5 && !client.in_flight(); }));
  client.reset();
  ASSERT_TRUE(rig.settle_until([&] { return !rig.records().empty(); }));
  EXPECT_EQ(rig.records()[0].text(), "client_cancel 200 0/0");
  EXPECT_EQ(rig.notes().find("dial failed"), std::string::npos);
}

TEST(ExchangeRun, ReasonsAreToldWhereThatIsAsked) {
  struct Case {
    const char *head, *reason;
  };
  const Case cases[] = {
      {"GET /a HTTP/1.1\r\nHost: 10.0.0.9\r\n\r\n", "allowlist: host is not allowed"},
      {"GET /.. HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", "protocol: path contains dot segments"},
      {"GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", "upstream: failed"},
      {"TRACE /a HTTP/1.1\r\nHost: 10.0.0.1\r\nMax-Forwards: 0\r\n\r\n",
       "protocol: method not allowed here"},
      {"OPTIONS /a HTTP/1.1\r\nHost: 10.0.0.1\r\nMax-Forwards: 0\r\n\r\n", nullptr},
  };
  for (const bool asked : {false, true}) {
    for (const Case& row : cases) {
      policy::Config config = SessionRig::usual_config();
      config.proxy.explain_denials = asked;
      SessionRig rig(std::move(config));
      ScriptedPeer& client = rig.connect();
      client.send(row.head);
      rig.settle();
      const std::string& got = client.received();
      EXPECT_EQ(got.find("X-Iron-Proxy-Reason:") != got.npos, asked && row.reason != nullptr)
          << got;
      if (asked && row.reason != nullptr) {
        EXPECT_NE(got.find("X-Iron-Proxy-Reason: " + std::string(row.reason) + "\r\n"), got.npos)
            << got;
      }
    }
  }
}

TEST(ExchangeRun, TheEndOfAnAnswerLeavesBehindItsRecord) {
  struct Case {
    const char* name;
    std::string request, answer;
    const char *before, *behind;  ///< how what came begins and ends
  };
  const std::string get = "GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n";
  const Case cases[] = {
      {"whole", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "", "\r\n\r\nok"},
      {"without a body", get, "HTTP/1.1 204 No Content\r\n\r\n", "", "\r\n\r\n"},
      {"in chunks", get,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "",
       "ok\r\n0\r\n\r\n"},
      {"of our own", "GET /a HTTP/1.1\r\nHost: 10.0.0.9\r\n\r\n", "", "", "\r\n\r\n"},
      {"of our own, before policy", "GET /.. HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", "", "",
       "\r\n\r\npath contains dot segments\n"},
      {"an answer that cannot be relayed", get, "nonsense\r\n\r\n", "", "\r\n\r\nbad gateway\n"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    SessionRig rig;
    const StalledReader stalled;
    ScriptedPeer& origin = rig.add_origin();
    ScriptedPeer& client = rig.connect();
    rig.services().log.writer().redirect_requests(stalled.give_away());
    client.send(row.request);
    rig.settle();
    origin.send(row.answer);
    rig.settle();
    EXPECT_EQ(client.received(), "");
    rig.advance(RecordBatch::kPatience);
    EXPECT_TRUE(client.received().ends_with(row.behind)) << client.received();
    EXPECT_TRUE(client.received().starts_with("HTTP/1.1 ")) << client.received();
  }
}

TEST(ExchangeRun, OnlyTheEndIsHeldBackForTheRecord) {
  SessionRig rig;
  const StalledReader stalled;
  ScriptedPeer& origin = rig.add_origin();
  ScriptedPeer& client = rig.connect();
  rig.services().log.writer().redirect_requests(stalled.give_away());
  client.send("GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
  rig.settle();
  origin.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin");
  rig.settle();
  EXPECT_TRUE(client.received().ends_with("\r\n\r\nbegin")) << client.received();
  origin.send("-end");
  rig.settle();
  EXPECT_TRUE(client.received().ends_with("\r\n\r\nbegin")) << client.received();
  rig.advance(RecordBatch::kPatience);
  EXPECT_TRUE(client.received().ends_with("\r\n\r\nbegin-end")) << client.received();
}

/// Bodies for 10.0.0.1 are loaded whole.
policy::Config loading(std::int64_t limit, std::int64_t budget) {
  policy::Config config = SessionRig::usual_config();
  config.transforms.push_back(
      {"secrets", policy::parse_yaml("secrets:\n"
                                     "- source: {type: env, var: RIG_KEY}\n"
                                     "  replace: {proxy_value: rig-token-0123456789, match_body: "
                                     "true}\n"
                                     "  rules: [{host: 10.0.0.1}]\n")});
  config.proxy.max_request_body_bytes = limit;
  config.proxy.limits.body_budget_bytes = budget;
  return config;
}

TEST(ExchangeRun, WhatWasHeldOfABodyIsFreeBeforeTheAnswerLeaves) {
  struct Case {
    std::int64_t limit, budget;
    const char* status;
  };
  constexpr Case cases[] = {{30000, 65536, "HTTP/1.1 413 "}, {0, 65536, "HTTP/1.1 503 "}};
  for (const Case& row : cases) {
    SCOPED_TRACE(row.status);
    SessionRig rig(loading(row.limit, row.budget), {{"RIG_KEY", "real-key-0123456789abcdef"}});
    const StalledReader stalled;
    ScriptedPeer& client = rig.connect();
    rig.services().log.writer().redirect_requests(stalled.give_away());
    const std::string part(20000, 'x');
    client.send("PUT /a HTTP/1.1\r\nHost: 10.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" +
                part + "\r\n");
    rig.settle();
    BodyBudget& budget = rig.services().body_budget;
    EXPECT_FALSE(budget.take(1));
    for (int i = 0; i < 3; ++i) client.send("4e20\r\n" + part + "\r\n");
    rig.settle();
    EXPECT_EQ(client.received(), "");
    EXPECT_TRUE(budget.take(row.budget));
    budget.give_back(row.budget);
    rig.advance(RecordBatch::kPatience);
    EXPECT_TRUE(client.received().starts_with(row.status)) << client.received();
  }
}

TEST(ExchangeRun, ABodyWhoseBeginningWasLookedAtLeavesWithItsOwnLength) {
  Script script;
  script.steps = {client(kPut + "Content-Length: 6||abcd"), client("ef"), origin(kOk)};
  script.config.transforms.push_back(
      {"body_capture",
       policy::parse_yaml("{max_request_body_bytes: 2, rules: [{host: 10.0.0.1}]}")});
  EXPECT_EQ(
      lines_of(run(script)),
      (std::vector<std::string>{"client: " + kOkRelayed,
                                "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 6||abcdef",
                                "record: allow 200 6/2", "session: open"}));
}

TEST(ExchangeRun, AnOriginThatOffersALoginOfTheConnectionIsLentToNobodyElse) {
  const std::string request = "GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n";
  for (const char* scheme : {"NTLM", "Basic"}) {
    SCOPED_TRACE(scheme);
    SessionRig rig;
    ScriptedPeer& origin = rig.add_origin();
    rig.connect().send(request);
    rig.settle();
    origin.send("HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: " + std::string(scheme) +
                "\r\n\r\n");
    rig.settle();
    rig.connect().send(request);
    rig.settle();
    EXPECT_EQ(origin.received(), scheme == std::string("NTLM") ? request : request + request);
  }
}

TEST(ExchangeRun, ACutAnswerIsWorthALineUnlessItsClientLeftAtRest) {
  using Ends = void (*)(ScriptedPeer& client, ScriptedPeer& origin);
  const Ends origin_closes = [](ScriptedPeer&, ScriptedPeer& origin) { origin.close(); };
  const Ends client_closes = [](ScriptedPeer& client, ScriptedPeer& origin) {
    client.close();
    origin.send("c");
  };
  const Ends client_resets = [](ScriptedPeer& client, ScriptedPeer&) { client.reset(); };
  struct Case {
    const char *name, *type;
    Ends ends;
    bool half_closed, line;
  };
  const Case cases[] = {
      {"the origin", "text/plain", origin_closes, false, true},
      {"the client", "text/plain", client_closes, false, true},
      {"the client, by a reset", "text/plain", client_resets, false, true},
      {"the origin of a stream", "text/event-stream", origin_closes, false, true},
      {"the origin of a stream to one that reads on", "text/event-stream", origin_closes, true,
       true},
      {"the client of a stream", "text/event-stream", client_closes, false, false},
      {"the client of a stream, by a reset", "text/event-stream", client_resets, false, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    const Link link = row.ends == client_resets ? Link::tcp : Link::local;
    SessionRig rig;
    ScriptedPeer& origin = rig.add_origin();
    ScriptedPeer& client = rig.connect(Entry::http, link);
    client.send("GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
    ASSERT_TRUE(rig.settle_until([&] { return !origin.received().empty(); }));
    origin.send("HTTP/1.1 200 OK\r\nContent-Type: " + std::string(row.type) +
                "\r\nContent-Length: 9\r\n\r\nab");
    ASSERT_TRUE(rig.settle_until([&] { return client.received().ends_with("ab"); }));
    if (row.half_closed) client.finish();
    rig.settle();
    row.ends(client, origin);
    ASSERT_TRUE(rig.settle_until([&] { return !rig.records().empty(); }));
    EXPECT_TRUE(rig.records()[0].text().starts_with("allow 200 0/")) << rig.records()[0].text();
    const std::string notes = rig.notes();
    EXPECT_EQ(notes.find(R"("level":"WARN","msg":"response body copy error")") != notes.npos,
              row.line)
        << notes;
  }
}

TEST(ExchangeRun, ACutStreamIsWorthALineWhereItsClientHadNotTakenAll) {
  SessionRig rig;
  ScriptedPeer& origin = rig.add_origin();
  ScriptedPeer& client = rig.connect(Entry::http, Link::local, 1);
  client.send("GET /a HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
  client.read(false);
  rig.settle();
  origin.send(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1048576\r\n\r\n" +
      std::string(100000, 'x'));
  rig.settle();
  client.close();
  rig.settle();
  ASSERT_EQ(rig.records().size(), 1U);
  EXPECT_NE(rig.notes().find("response body copy error"), std::string::npos);
}

}  // namespace
}  // namespace iron::proxy::test
