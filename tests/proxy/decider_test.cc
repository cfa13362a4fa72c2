#include "proxy/exchange/decider.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/proxy/decider_rig.h"

namespace iron::proxy {
namespace {

using test::Asked;
using test::Who;

using Next = Decider::Next;

struct Row {
  const char* name;
  std::string yaml;
  const char* head;
  const char* outcome;
  Who who = {};
};

void expect_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    EXPECT_EQ(Asked(row.yaml, row.head, row.who).begin(), row.outcome) << row.name;
  }
}

const std::string kOpen = "transforms: []\n";
const std::string kStrict = "proxy: {strict_paths: true}\n";
const std::string kPinned = "proxy: {pin_tunnel_target: true}\n";
const std::string kAllowlist = "transforms: [{name: allowlist, config: {domains: [h.test]}}]\n";

/// A token for h.test in X-T that becomes the value of that variable.
std::string swapping(const std::string& variable,
                     const std::string& replace = "",
                     const std::string& entry = "") {
  return "transforms:\n- name: secrets\n  config:\n    secrets:\n    - source: {type: env, var: " +
         variable + "}\n      replace: {proxy_value: the-token-0123456789, match_headers: [X-T]" +
         replace + "}\n      rules: [{host: h.test}]\n" + entry;
}

TEST(Decider, WhereItGoes) {
  expect_rows({
      {"origin form", kOpen, "GET /a%20b?c HTTP/1.1|Host: H.test|X: 1||",
       "forward http://h.test:80 GET /a b?c|Host: H.test|X: 1"},
      {"absolute form", kOpen, "GET http://o.test:8080/a HTTP/1.1|Host: h.test||",
       "forward http://o.test:8080 GET /a|Host: h.test"},
      {"asterisk form", kOpen, "OPTIONS * HTTP/1.1|Host: h.test||",
       "forward http://h.test:80 OPTIONS *|Host: h.test"},
      {"a scheme that the connection is not", kOpen, "GET https://h.test/ HTTP/1.1|Host: h.test||",
       "400 reject before policy: malformed request"},
      {"authority form", kOpen, "GET h.test:80 HTTP/1.1|Host: h.test||",
       "400 reject before policy: malformed request"},
      {"a host that is none", kOpen, "GET http://user@h.test/ HTTP/1.1|Host: h.test||",
       "400 reject before policy: malformed Host header"},
      {"no host", kOpen, "GET / HTTP/1.0||",
       "400 reject before policy: missing Host header (protocol: missing Host header)"},
      {"TLS",
       kOpen,
       "GET / HTTP/1.1|Host: h.test||",
       "forward https://h.test:443 GET /|Host: h.test",
       {.tls = true, .server_name = "h.test"}},
      {"in a tunnel",
       kOpen,
       "GET / HTTP/1.1|Host: h.test||",
       "forward https://h.test:8443 GET /|Host: h.test",
       {.tls = true, .server_name = "h.test", .tunnel = "h.test:8443"}},
  });
}

TEST(Decider, TheHostIsThatOfTheTargetWhereItHasOne) {
  Asked own(kOpen, "GET /a HTTP/1.1|Host: H.test:81||");
  own.begin();
  EXPECT_EQ(own.decider().host(), "H.test:81");
  Asked absolute(kOpen, "GET http://O.test/a HTTP/1.1|Host: h.test||");
  absolute.begin();
  EXPECT_EQ(absolute.decider().host(), "O.test");
}

TEST(Decider, APathWhoseEscapesAreNone) {
  // The parser of HTTP/1 refuses it before; others may not.
  Asked asked(kOpen, "GET /a HTTP/1.1|Host: h.test||");
  asked.exchange().request.target = "/%4";
  EXPECT_EQ(asked.begin(), "400 reject before policy: malformed request");
}

TEST(Decider, DotSegments) {
  const char* const refused =
      "400 reject before policy: path contains dot segments (protocol: path contains dot "
      "segments)";
  struct Case {
    const char* path;
    bool plain, strict;  ///< refused
  };
  const Case cases[] = {
      {"/a/../b", true, true},     {"/a/%2e%2E/b", true, true}, {"/..", true, true},
      {"/a\\..\\b", true, true},   {"/a/./b", false, true},     {"/a/..;x/b", false, true},
      {"/a/.;x", false, true},     {"/a/..b", false, false},    {"/a/b..", false, false},
      {"/a?x=/../", false, false},
  };
  for (const Case& row : cases) {
    const std::string head = std::string("GET ") + row.path + " HTTP/1.1|Host: h.test||";
    EXPECT_EQ(Asked(kOpen, head).begin() == refused, row.plain) << row.path;
    EXPECT_EQ(Asked(kStrict, head).begin() == refused, row.strict) << row.path;
  }
}

TEST(Decider, TheServerNameIsTheHost) {
  struct Case {
    const char *host, *server_name;
    bool tls, differs;
  };
  const Case cases[] = {
      {"h.test", "h.test", true, false},  {"H.TEST.:8443", "h.test", true, false},
      {"o.test", "h.test", true, true},   {"h.test", "", true, true},
      {"o.test", "h.test", false, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.host << " for " << row.server_name);
    const std::string head = std::string("GET / HTTP/1.1|Host: ") + row.host + "||";
    Asked asked(kOpen, head, {.tls = row.tls, .server_name = row.server_name});
    const std::string outcome = asked.begin();
    EXPECT_EQ(outcome ==
                  "400 reject before policy: SNI and Host header mismatch (protocol: SNI and Host "
                  "header mismatch)",
              row.differs)
        << outcome;
    EXPECT_EQ(asked.decider().server_name_differs(), row.differs);
  }
  Asked dotted(kOpen, "GET /.. HTTP/1.1|Host: o.test||", {.tls = true, .server_name = "h.test"});
  dotted.begin();
  EXPECT_FALSE(dotted.decider().server_name_differs()) << "refused before";
}

TEST(Decider, APinnedTunnelServesItsTargetAlone) {
  const char* const denied =
      "403 reject by pin_tunnel_target (pin_tunnel_target: not the host and port of the tunnel)";
  struct Case {
    const char *host, *tunnel;
    bool pinned, denied;
  };
  const Case cases[] = {
      {"h.test", "h.test:8080", true, false},       {"h.test:8080", "h.test:8080", true, false},
      {"h.test:80", "h.test:8080", true, true},     {"o.test:8080", "h.test:8080", true, true},
      {"o.test", "h.test:80", true, true},          {"o.test", nullptr, true, false},
      {"o.test:8080", "h.test:8080", false, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.host << " in " << (row.tunnel ? row.tunnel : "none"));
    const std::string head = std::string("GET / HTTP/1.1|Host: ") + row.host + "||";
    const std::string outcome =
        Asked(row.pinned ? kPinned : kOpen, head, {.tunnel = row.tunnel}).begin();
    EXPECT_EQ(outcome == denied, row.denied) << outcome;
  }
  Asked both(kPinned + kAllowlist, "GET / HTTP/1.1|Host: o.test||", {.tunnel = "h.test:80"});
  EXPECT_EQ(both.begin(), denied) << "before policy looks";
  EXPECT_EQ(both.traces(), "");
}

TEST(Decider, WhatPolicySays) {
  expect_rows({
      {"admitted", kAllowlist, "GET /a HTTP/1.1|Host: h.test||",
       "forward http://h.test:80 GET /a|Host: h.test"},
      {"not admitted", kAllowlist, "GET /a HTTP/1.1|Host: o.test||",
       "403 reject by allowlist (allowlist: host is not allowed)"},
      {"a token", swapping("DECIDER_KEY"),
       "GET / HTTP/1.1|Host: h.test|X-T: the-token-0123456789||",
       "forward http://h.test:80 GET /|Host: h.test|X-T*: the-token-0123456789"},
      {"no token", swapping("DECIDER_KEY", ", require: true"), "GET / HTTP/1.1|Host: h.test||",
       "403 reject by secrets (secrets: the request does not carry the required token)"},
      {"a token where TLS is required", swapping("DECIDER_KEY", "", "      require_tls: true\n"),
       "GET / HTTP/1.1|Host: h.test|X-T: the-token-0123456789||",
       "403 reject by secrets (secrets: TLS is required)"},
      {"the same over TLS",
       swapping("DECIDER_KEY", "", "      require_tls: true\n"),
       "GET / HTTP/1.1|Host: h.test|X-T: the-token-0123456789||",
       "forward https://h.test:443 GET /|Host: h.test|X-T*: the-token-0123456789",
       {.tls = true, .server_name = "h.test"}},
      {"a key with line ends in a field", swapping("DECIDER_LINES"),
       "GET / HTTP/1.1|Host: h.test|X-T: the-token-0123456789||",
       "502 error: net/http: invalid header field value for \"X-T\" (upstream: failed)"},
      {"a key that makes dot segments", swapping("DECIDER_DOTS", ", match_path: true"),
       "GET /a/the-token-0123456789/b HTTP/1.1|Host: h.test||",
       "502 error: secret value makes dot segments (upstream: failed)"},
      {"only where they are strict", swapping("DECIDER_DOTS_AND_MORE", ", match_path: true"),
       "GET /the-token-0123456789 HTTP/1.1|Host: h.test||",
       "forward http://h.test:80 GET /the-token-0123456789|Host: h.test"},
      {"where they are", kStrict + swapping("DECIDER_DOTS_AND_MORE", ", match_path: true"),
       "GET /the-token-0123456789 HTTP/1.1|Host: h.test||",
       "502 error: secret value makes dot segments (upstream: failed)"},
  });
}

TEST(Decider, TransformsAreToldOfTheClient) {
  Asked asked(kOpen, "PUT / HTTP/1.1|Host: h.test|Content-Length: 1||",
              {.tls = true, .server_name = "h.test"});
  asked.begin();
  EXPECT_TRUE(asked.exchange().client_tls);
  EXPECT_EQ(asked.exchange().remote_address, "192.0.2.7:5000");
  EXPECT_TRUE(asked.exchange().body.present);
  EXPECT_EQ(asked.exchange().mode, transforms::Mode::mitm);
  Asked bodiless(kOpen, "GET / HTTP/1.1|Host: h.test||");
  bodiless.begin();
  EXPECT_FALSE(bodiless.exchange().body.present);
  EXPECT_FALSE(bodiless.exchange().client_tls);
}

TEST(Decider, FieldsOfTheHopAndUpgrades) {
  expect_rows({
      {"fields of the hop", kOpen,
       "GET / HTTP/1.1|Host: h.test|Connection: X-Own|X-Own: 1|Upgrade: h2c|X: 2||",
       "forward http://h.test:80 GET /|Host: h.test|X: 2"},
      {"an upgrade", kOpen,
       "GET / HTTP/1.1|Host: h.test|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: "
       "13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||",
       "upgrade http://h.test:80 GET /|Host: h.test|Connection: Upgrade|Upgrade: websocket|"
       "Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="},
      {"an upgrade of another version", kOpen,
       "GET / HTTP/1.1|Host: h.test|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: "
       "12|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||",
       "forward http://h.test:80 GET /|Host: h.test|Sec-WebSocket-Version: 12|Sec-WebSocket-Key: "
       "dGhlIHNhbXBsZSBub25jZQ=="},
      {"an upgrade with a body", kOpen,
       "GET / HTTP/1.1|Host: h.test|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: "
       "13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Content-Length: 1||",
       "forward http://h.test:80 GET /|Host: h.test|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: "
       "dGhlIHNhbXBsZSBub25jZQ==|Content-Length: 1"},
      {"an upgrade that is not admitted", kAllowlist,
       "GET / HTTP/1.1|Host: o.test|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: "
       "13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||",
       "403 reject by allowlist (allowlist: host is not allowed)"},
  });
}

TEST(Decider, TheLastHop) {
  expect_rows({
      {"OPTIONS", kOpen, "OPTIONS / HTTP/1.1|Host: h.test|Max-Forwards: 0||", "200 allow"},
      {"TRACE", kOpen, "TRACE / HTTP/1.1|Host: h.test|Max-Forwards: 0||",
       "405 reject by protocol: method not allowed here (protocol: method not allowed here)"},
      {"others", kOpen, "GET / HTTP/1.1|Host: h.test|Max-Forwards: 0||",
       "forward http://h.test:80 GET /|Host: h.test|Max-Forwards: 0"},
      {"OPTIONS with one to go", kOpen, "OPTIONS / HTTP/1.1|Host: h.test|Max-Forwards: 1||",
       "forward http://h.test:80 OPTIONS /|Host: h.test|Max-Forwards: 0"},
      {"TRACE with one to go", kOpen, "TRACE / HTTP/1.1|Host: h.test|Max-Forwards: 1||",
       "forward http://h.test:80 TRACE /|Host: h.test|Max-Forwards: 0"},
      {"TRACE without a count", kOpen, "TRACE / HTTP/1.1|Host: h.test||",
       "forward http://h.test:80 TRACE /|Host: h.test"},
      {"policy is asked first", kAllowlist, "OPTIONS / HTTP/1.1|Host: o.test|Max-Forwards: 0||",
       "403 reject by allowlist (allowlist: host is not allowed)"},
  });
}

TEST(Decider, AnswersThatAreFiltered) {
  const std::string scrubbing = swapping("DECIDER_KEY", "", "      scrub_responses: on\n");
  const std::string shown =
      "405 reject by scrub_responses (scrub_responses: TRACE would show the request)";
  struct Case {
    std::string yaml;
    const char* head;
    bool filtered;
    std::string outcome;
  };
  const Case cases[] = {
      {scrubbing, "GET / HTTP/1.1|Host: h.test|Accept-Encoding: gzip|Range: bytes=1-||", true,
       "forward http://h.test:80 GET /|Host: h.test|Accept-Encoding: identity"},
      {scrubbing, "GET / HTTP/1.1|Host: o.test|Accept-Encoding: gzip||", false,
       "forward http://o.test:80 GET /|Host: o.test|Accept-Encoding: gzip"},
      {swapping("DECIDER_KEY"), "GET / HTTP/1.1|Host: h.test|Accept-Encoding: gzip||", false,
       "forward http://h.test:80 GET /|Host: h.test|Accept-Encoding: gzip"},
      {scrubbing, "TRACE / HTTP/1.1|Host: h.test||", true, shown},
      {scrubbing, "trace / HTTP/1.1|Host: h.test||", true, shown},
      {scrubbing, "TRACE / HTTP/1.1|Host: h.test|Max-Forwards: 0||", true, shown},
      {scrubbing, "TRACE / HTTP/1.1|Host: o.test||", false,
       "forward http://o.test:80 TRACE /|Host: o.test"},
  };
  for (const Case& row : cases) {
    Asked asked(row.yaml, row.head);
    EXPECT_EQ(asked.begin(), row.outcome) << row.head;
    EXPECT_EQ(asked.decider().take_filter() != nullptr, row.filtered) << row.head;
    EXPECT_EQ(asked.decider().take_filter(), nullptr) << "given away once";
  }
}

const char* const kPut = "PUT / HTTP/1.1|Host: h.test|Content-Length: 30||";
const std::string kCapture =
    "transforms:\n- {name: body_capture, config: {max_request_body_bytes: 16, rules: [{host: "
    "h.test}]}}\n";
const std::string kLoads = "forward http://h.test:80 PUT /|Host: h.test|Content-Length: 30";

TEST(Decider, AsksForWhatTransformsMustSeeOfTheBody) {
  const std::string in_bodies = swapping("DECIDER_KEY", ", match_body: true");
  Asked whole(in_bodies, kPut);
  EXPECT_EQ(whole.begin(), "load whole");
  EXPECT_EQ(whole.loaded("<the-token-0123456789>", true), kLoads);
  EXPECT_TRUE(whole.exchange().holds_secret());

  Asked prefix(kCapture, kPut);
  EXPECT_EQ(prefix.begin(), "load 17");
  EXPECT_EQ(prefix.loaded("0123456789abcdefg", false), kLoads);
  ASSERT_TRUE(prefix.exchange().capture);
  EXPECT_EQ(prefix.exchange().capture->text, "0123456789abcdef");

  const std::string secrets_behind = in_bodies.substr(in_bodies.find('\n') + 1);
  Asked both(kCapture + secrets_behind, kPut);
  EXPECT_EQ(both.begin(), "load 17");
  EXPECT_EQ(both.loaded("<the-token-0123456", false), "load whole");
  EXPECT_EQ(both.traces(), "body_capture");
  EXPECT_EQ(both.loaded("<the-token-0123456789>", true), kLoads);
  EXPECT_EQ(both.traces(), "body_capture secrets");

  EXPECT_EQ(Asked(in_bodies, "GET / HTTP/1.1|Host: h.test||").begin(),
            "forward http://h.test:80 GET /|Host: h.test");
  EXPECT_EQ(Asked(in_bodies, "PUT / HTTP/1.1|Host: o.test|Content-Length: 30||").begin(),
            "forward http://o.test:80 PUT /|Host: o.test|Content-Length: 30");
}

TEST(Decider, BodiesThatCannotBeHad) {
  struct Case {
    Fault fault;
    bool broke_off;
    const char *outcome, *traces;
  };
  const Case cases[] = {
      {Fault::body_too_large, false, "413 error: why", "body_capture(why)"},
      {Fault::no_budget, false, "503 error: why", "body_capture(why)"},
      {Fault::bad_request, false, "400 reject by protocol: why", ""},
      {Fault::client_gone, false, "200 client_cancel reset", ""},
      // The record shows what came of it.
      {Fault::client_gone, true, "200 client_cancel reset", "body_capture allowlist"},
      {Fault::client_silent, true, "400 error unanswered: why", "body_capture allowlist"},
  };
  const std::string yaml = kCapture + "- {name: allowlist, config: {domains: [h.test]}}\n";
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(row.fault) << ' ' << row.broke_off);
    Asked asked(yaml, kPut);
    EXPECT_EQ(asked.begin(), "load 17");
    EXPECT_EQ(asked.not_loaded(row.fault, row.broke_off), row.outcome);
    EXPECT_EQ(asked.traces(), row.traces);
  }
}

TEST(Decider, ABrokenOffRequestMayBeRefusedAllTheSame) {
  Asked asked(kCapture + "- {name: allowlist, config: {domains: [o.test]}}\n", kPut);
  EXPECT_EQ(asked.begin(), "load 17");
  EXPECT_EQ(asked.not_loaded(Fault::client_gone, true),
            "403 reject by allowlist (allowlist: host is not allowed)");
}

TEST(Decider, AFailureEndsIt) {
  Asked asked(kOpen, "GET / HTTP/1.1|Host: h.test||");
  asked.begin();
  EXPECT_EQ(asked.decider().fail(fail("why", Fault::header_timeout)), Next::answer);
  EXPECT_EQ(asked.decider().ending().status, 502);
  EXPECT_EQ(asked.decider().ending().error, "why");
}

}  // namespace
}  // namespace iron::proxy
