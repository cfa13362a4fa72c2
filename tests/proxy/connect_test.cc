#include "proxy/client/connect.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using Kind = Step::Kind;

const std::string kOpened = "client: HTTP/1.1 200 Connection Established||";
const std::string kMalformed = "record: reject 400 0/0 by protocol: malformed request";

/// What a CONNECT for `target` is answered, and its record.
std::vector<std::string> connected(const std::string& target, Entry entry = Entry::tunnel) {
  return lines_of(run({.steps = {client("CONNECT " + target + " HTTP/1.1|Host: x.test||")},
                       .origins = 0,
                       .entry = entry}));
}

TEST(Connect, Targets) {
  const std::vector<std::string> opened = {kOpened, "record: allow 200 0/0", "session: open"};
  const std::vector<std::string> malformed = {"client: " + kBadRequest + "[end]", kMalformed,
                                              "session: open"};
  const std::vector<std::string> denied = {
      "client: HTTP/1.1 403 Forbidden|Content-Type: text/plain|Content-Length: 0||[end]",
      "record: reject 403 0/0 by allowlist", "session: open"};
  struct Case {
    const char* target;
    const std::vector<std::string>& outcome;
  };
  const Case cases[] = {
      {"10.0.0.1:443", opened},   {"10.0.0.1", opened},
      {"10.0.0.1:65535", opened}, {"10.0.0.9:443", denied},
      {"10.0.0.9", denied},       {"[::1]:443", denied},
      {"10.0.0.1:", malformed},   {":443", malformed},
      {"10.0.0.1:0", malformed},  {"10.0.0.1:65536", malformed},
      {"10.0.0.1:x", malformed},  {"user@10.0.0.1:443", malformed},
      {"[::1:443", malformed},    {"10.0.0.1:443/a", malformed},
  };
  for (const Case& row : cases) {
    EXPECT_EQ(connected(row.target), row.outcome) << row.target;
    EXPECT_EQ(connected(row.target, Entry::http), row.outcome) << row.target;
  }
}

/// The records of a tunnel to `target` and a request in it for `host`.
std::vector<RigRecord> records_of(const std::string& target,
                                  const std::string& host,
                                  policy::Config config = SessionRig::usual_config()) {
  SessionRig rig(std::move(config));
  ScriptedPeer& client = rig.connect(Entry::tunnel);
  client.send("CONNECT " + target + " HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\nHost: " + host +
              "\r\n\r\n");
  rig.settle();
  return rig.records();
}

TEST(Connect, ATargetWithoutAPortMeans443) {
  struct Case {
    const char *target, *host, *recorded, *dialled;
  };
  const Case cases[] = {
      {"10.0.0.1", "10.0.0.1", "10.0.0.1:443", "10.0.0.1:443"},
      {"10.0.0.1:8443", "10.0.0.1", "10.0.0.1:8443", "10.0.0.1:8443"},
      {"10.0.0.1:8443", "10.0.0.1:80", "10.0.0.1:8443", "10.0.0.1:80"},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.host << " by " << row.target);
    const std::vector<RigRecord> records = records_of(row.target, row.host);
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].method, "CONNECT");
    EXPECT_EQ(records[0].host, row.recorded);
    EXPECT_EQ(records[0].text(), "allow 200 0/0");
    EXPECT_EQ(records[1].host, row.host);
    EXPECT_NE(records[1].error.find(std::string("dial tcp ") + row.dialled), std::string::npos)
        << records[1].error;
  }
}

TEST(Connect, AMalformedTargetIsRecordedAsItCame) {
  SessionRig rig;
  rig.connect(Entry::tunnel).send("CONNECT 10.0.0.1: HTTP/1.1\r\nHost: other.test\r\n\r\n");
  rig.settle();
  ASSERT_EQ(rig.records().size(), 1U);
  EXPECT_EQ(rig.records()[0].host, "10.0.0.1:");
  EXPECT_EQ(rig.records()[0].method, "CONNECT");
}

TEST(Connect, TheReasonIsToldWhereThatIsAsked) {
  policy::Config config = SessionRig::usual_config();
  config.proxy.explain_denials = true;
  EXPECT_EQ(lines_of(run({.steps = {client("CONNECT 10.0.0.9:443 HTTP/1.1||")},
                          .origins = 0,
                          .entry = Entry::tunnel,
                          .config = config}))[0],
            "client: HTTP/1.1 403 Forbidden|Content-Type: text/plain|Content-Length: "
            "0|X-Iron-Proxy-Reason: allowlist: host is not allowed||[end]");
}

TEST(Connect, TheHostAloneIsJudged) {
  policy::Config config = SessionRig::usual_config();
  config.transforms = {
      {"allowlist", policy::parse_yaml("rules: [{host: 10.0.0.1, methods: [GET], paths: [/b]}]")}};
  const std::vector<RigRecord> records = records_of("10.0.0.1:80", "10.0.0.1", config);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].text(), "allow 200 0/0");
  EXPECT_EQ(records[1].text(), "reject 403 0/0 by allowlist") << "its requests by the whole rule";
}

TEST(Connect, ATransformThatFails) {
  policy::Config config = SessionRig::usual_config();
  config.transforms.push_back(
      {"secrets", policy::parse_yaml("secrets:\n"
                                     "- source: {type: env, var: RIG_KEY}\n"
                                     "  inject: {header: X, formatter: '{{ .Nope }}'}\n"
                                     "  rules: [{host: 10.0.0.1}]\n")});
  const std::vector<std::string> lines =
      lines_of(run({.steps = {client("CONNECT 10.0.0.1 HTTP/1.1||")},
                    .origins = 0,
                    .entry = Entry::tunnel,
                    .config = config,
                    .variables = {{"RIG_KEY", "a-key"}}}));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], "client: HTTP/1.1 403 Forbidden|Content-Length: 0||[end]");
  EXPECT_TRUE(lines[1].starts_with("record: error 502 0/0: transform secrets request: injecting"))
      << lines[1];
}

TEST(Connect, LogLines) {
  SessionRig rig;
  rig.connect(Entry::tunnel).send("CONNECT 10.0.0.1 HTTP/1.1\r\n\r\n");
  rig.connect(Entry::tunnel).send("CONNECT 10.0.0.9:80 HTTP/1.1\r\n\r\n");
  rig.settle();
  const std::string notes = rig.notes();
  EXPECT_NE(notes.find(R"("msg":"tunnel CONNECT","target":"10.0.0.1:443")"), notes.npos) << notes;
  EXPECT_NE(notes.find(R"("level":"INFO","msg":"tunnel short-circuited by transform",)"
                       R"("target":"10.0.0.9:80","status":403)"),
            notes.npos)
      << notes;
}

TEST(Connect, AHostWhoseRefusalIsNoNewsIsQuietHereToo) {
  policy::Config config = SessionRig::usual_config();
  config.transforms = {
      {"allowlist", policy::parse_yaml("{domains: [10.0.0.1], quiet: [10.0.0.9]}")}};
  SessionRig rig(std::move(config));
  rig.connect(Entry::tunnel).send("CONNECT 10.0.0.9:80 HTTP/1.1\r\n\r\n");
  rig.settle();
  const std::string notes = rig.notes();
  EXPECT_NE(notes.find(R"("level":"DEBUG","msg":"tunnel short-circuited by transform")"),
            notes.npos)
      << notes;
}

TEST(Connect, WhatComesWithTheHeadBelongsToTheTunnel) {
  SessionRig rig;
  ScriptedPeer& origin = rig.add_origin();
  ScriptedPeer& client = rig.connect(Entry::tunnel);
  client.send(
      "CONNECT 10.0.0.1:80 HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /a HTTP/1.1\r\nHost: "
      "10.0.0.1\r\n\r\n");
  rig.settle();
  EXPECT_TRUE(origin.received().starts_with("GET /a HTTP/1.1\r\n")) << origin.received();
}

TEST(Connect, NoTunnelInATunnel) {
  const std::vector<std::string> lines = lines_of(
      run({.steps = {client("CONNECT 10.0.0.1:80 HTTP/1.1||CONNECT 10.0.0.1:80 HTTP/1.1||")},
           .origins = 0,
           .entry = Entry::tunnel}));
  EXPECT_EQ(lines,
            (std::vector<std::string>{
                kOpened + "HTTP/1.1 405 Method Not Allowed||[end]", "record: allow 200 0/0",
                "record: reject 405 0/0 by protocol: method not allowed here", "session: open"}));
}

}  // namespace
}  // namespace iron::proxy::test
