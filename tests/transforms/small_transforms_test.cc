#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/transforms/rig.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using Progress = Pipeline::Progress;

struct AllowCase {
  const char* config;
  const char* line;
  const char* host;
  bool passes;
};

TEST(Allowlist, JudgesHostMethodAndPath) {
  const char* rules = "rules: [{host: api.test, methods: [get], paths: [/v1/*]}]";
  for (const AllowCase& at : {
           AllowCase{"{}", "GET /", "api.test", false},
           AllowCase{"domains: [api.test]", "GET /", "API.test.:80", true},
           AllowCase{"domains: ['*.api.test']", "GET /", "a.b.api.test", true},
           AllowCase{"domains: ['*.api.test']", "GET /", "xapi.test", false},
           AllowCase{"cidrs: [10.0.0.0/8]", "GET /", "10.1.2.3:80", true},
           AllowCase{"cidrs: [10.0.0.0/8]", "GET /", "[::ffff:10.1.2.3]:80", true},
           AllowCase{"cidrs: [10.0.0.0/8]", "GET /", "api.test", false},
           AllowCase{rules, "GET /v1/a", "api.test", true},
           AllowCase{rules, "POST /v1/a", "api.test", false},
           AllowCase{rules, "GET /v2", "api.test", false},
           AllowCase{rules, "GET /v1%2Fa", "api.test", false},
           AllowCase{rules, "GET /v1/a%2Fb", "api.test", true},
           AllowCase{rules, "GET /v1/./a", "api.test", true},
           AllowCase{rules, "GET /v1/.", "api.test", true},
           AllowCase{rules, "GET /./v1/a", "api.test", false},
           AllowCase{rules, "GET /v1/./a%2Fb", "api.test", true},
           AllowCase{rules, "GET /v1%2Fa/./b", "api.test", false},
       }) {
    Rig rig;
    rig.with("allowlist", at.config);
    const Progress expected = at.passes ? Progress::done : Progress::rejected;
    EXPECT_EQ(rig.request(at.line, {}, at.host).run(), expected)
        << at.config << " " << at.line << " " << at.host;
  }
}

TEST(Allowlist, TunnelsNeedTheHostAlone) {
  Rig rig;
  rig.with("allowlist", "rules: [{host: api.test, methods: [GET], paths: [/v1/*]}]");
  EXPECT_EQ(rig.tunnel().run(), Progress::done);
  EXPECT_EQ(rig.annotations(), "");
  EXPECT_EQ(rig.tunnel({}, "other.test:443").run(), Progress::rejected);
  rig.tunnel().exchange.mode = Mode::sni_only;
  EXPECT_EQ(rig.run(), Progress::rejected);
}

TEST(Allowlist, WarnLetsPass) {
  Rig rig;
  rig.with("allowlist", "{domains: [no.test], warn: true}");
  EXPECT_EQ(rig.request("GET /").run(), Progress::done);
  EXPECT_EQ(rig.annotations(), R"({"action":"warn"})");
  EXPECT_EQ(rig.exchange.request_traces[0].action, TraceAction::allow);
  EXPECT_EQ(rig.request("GET /", {}, "no.test").run(), Progress::done);
  EXPECT_EQ(rig.annotations(), "");
}

TEST(Allowlist, QuietHostsAreRefusedWithoutNews) {
  struct Case {
    const char *line, *host;
    bool passes, quiet;
  };
  Rig rig;
  rig.with("allowlist",
           "{quiet: ['*.home.test', API.test., 10.0.0.1], domains: [ok.home.test], rules: [{host: "
           "api.test, paths: [/v1]}]}");
  for (const Case& at :
       {Case{"GET /", "a.home.test", false, true}, Case{"GET /", "A.HOME.TEST.:8443", false, true},
        Case{"GET /", "10.0.0.1", false, true}, Case{"GET /", "other.test", false, false},
        Case{"GET /v2", "api.test", false, true}, Case{"GET /v1", "api.test", true, false},
        Case{"GET /", "ok.home.test", true, false}}) {
    rig.request(at.line, {}, at.host);
    EXPECT_EQ(rig.run() == Progress::done, at.passes) << at.host;
    EXPECT_EQ(rig.exchange.quiet_refusal, at.quiet) << at.host;
  }
  EXPECT_EQ(rig.tunnel({}, "a.home.test:443").run(), Progress::rejected);
  EXPECT_TRUE(rig.exchange.quiet_refusal);
  EXPECT_EQ(rig.exchange.denial_reason, "allowlist: host is not allowed");
}

TEST(Allowlist, SaysWhy) {
  Rig rig;
  rig.with("allowlist", "rules: [{host: api.test, methods: [GET]}]");
  rig.request("GET /", {}, "other.test").run();
  EXPECT_EQ(rig.exchange.rejected_by, "allowlist");
  EXPECT_EQ(rig.exchange.denial_reason, "allowlist: host is not allowed");
  rig.request("PUT /").run();
  EXPECT_EQ(rig.exchange.denial_reason, "allowlist: method or path is not allowed");
}

TEST(Annotate, CopiesFirstValuesInByteOrder) {
  Rig rig;
  rig.with("annotate",
           "annotations: [{rules: [{host: api.test}], headers: [x-client-id, Content-Type, host, "
           "X-Absent, x-B]},"
           " {rules: [{host: api.test, paths: [/p]}], headers: [X-P, x-Client-Id]}]");
  const std::vector<std::string> sent = {"Host: h",          "X-B: \"q\"",    "X-Client-Id: one",
                                         "X-Client-Id: two", "Content-Type:", "x-p: p"};
  EXPECT_EQ(rig.request("GET /", sent).run(), Progress::done);
  EXPECT_EQ(rig.annotations(), R"({"header:X-B":"\"q\"","header:X-Client-Id":"one"})");
  rig.request("GET /p", sent).run();
  EXPECT_EQ(rig.annotations(),
            R"({"header:X-B":"\"q\"","header:X-Client-Id":"one","header:X-P":"p"})");
  rig.request("GET /p", sent, "other.test").run();
  EXPECT_EQ(rig.annotations(), "");
}

TEST(Annotate, SeesNoSwappedOrInjectedValue) {
  Rig rig(Env{{"KEY", "REAL"}});
  rig.secrets(
         "[{source: {type: env, var: KEY}, replace: {proxy_value: tok}, rules: [{host: api.test}]},"
         " {source: {type: env, var: KEY}, inject: {header: X-New}, rules: [{host: api.test}]},"
         " {source: {type: env, var: KEY}, inject: {header: X-Old}, rules: [{host: api.test}]}]")
      .with("annotate", "annotations: [{rules: [{host: api.test}], headers: [X-K, X-New, X-Old]}]");
  EXPECT_EQ(rig.request("GET /", {"X-K: a tok", "X-Old: mine"}).run(), Progress::done);
  EXPECT_EQ(rig.annotations(1), R"({"header:X-K":"a tok","header:X-Old":"mine"})");
}

TEST(HeaderAllowlist, RemovesAndReports) {
  Rig rig;
  rig.with("header_allowlist", "headers: [accept, '/^x-trace-/']");
  EXPECT_EQ(rig.request("POST /", {"Host: h", "X-Client-Id: 1", "x-trace-id: t", "accept: a/b",
                                   "x-client-id: 2", "Content-Length: 5", "Transfer-Encoding: x"})
                .run(),
            Progress::done);
  EXPECT_EQ(rig.annotations(), R"({"stripped_headers":["X-Client-Id","Content-Length"]})");
  EXPECT_THAT(rig.fields(), ElementsAre("Host: h", "x-trace-id: t", "accept: a/b",
                                        "Content-Length: 5", "Transfer-Encoding: x"));
  rig.request("GET /", {"Host: h", "ACCEPT: x"}).run();
  EXPECT_EQ(rig.annotations(), "");
}

TEST(HeaderAllowlist, RulesLimitIt) {
  Rig rig;
  rig.with("header_allowlist", "{headers: [Accept], rules: [{host: other.test}]}");
  rig.request("GET /", {"X-Bad: 1"}).run();
  EXPECT_EQ(rig.annotations(), "");
  EXPECT_THAT(rig.fields(), ElementsAre("X-Bad: 1"));
}

TEST(HeaderAllowlist, RemovesWhatAnEarlierTransformWrote) {
  Rig rig(Env{{"KEY", "REAL"}});
  rig.secrets(
         "[{source: {type: env, var: KEY}, inject: {header: X-KEY}, rules: [{host: api.test}]}]")
      .with("header_allowlist", "headers: [Accept]");
  rig.request("GET /", {"Accept: a"}).run();
  EXPECT_EQ(rig.annotations(1), R"({"stripped_headers":["X-KEY"]})");
  EXPECT_THAT(rig.fields(), ElementsAre("Accept: a"));
  EXPECT_FALSE(rig.exchange.holds_secret());
}

TEST(HeaderAllowlist, AnUpgradeNeedsItsFields) {
  const std::vector<std::string> sent = {"Connection: Upgrade", "Upgrade: websocket",
                                         "Sec-WebSocket-Key: k"};
  Rig rig;
  rig.with("header_allowlist", "headers: [Upgrade]");
  rig.request("GET /", sent).exchange.upgrade = true;
  rig.run();
  EXPECT_FALSE(rig.exchange.upgrade);
  EXPECT_THAT(rig.fields(), ElementsAre());
  EXPECT_EQ(rig.annotations(), R"({"stripped_headers":["Connection","Sec-Websocket-Key"]})");
  Rig open;
  open.with("header_allowlist", "headers: [Upgrade, connection]");
  open.request("GET /", sent).exchange.upgrade = true;
  open.run();
  EXPECT_TRUE(open.exchange.upgrade);
  EXPECT_THAT(open.fields(), ElementsAre("Connection: Upgrade", "Upgrade: websocket"));
}

struct CaptureCase {
  std::string body;
  std::string text;
  bool truncated;
};

TEST(BodyCapture, CutsAndRepairs) {
  for (const CaptureCase& at :
       {CaptureCase{"abc", "abc", false},
        CaptureCase{"abcdefg\xc3\xa9"
                    "1234",
                    "abcdefg", true},
        CaptureCase{std::string("\xff\xfe\xfd<>&\"\0\1z", 10),
                    std::string("\xff\xfe\xfd<>&\"\0", 8), true},
        CaptureCase{"012345678901234567890123456789", "01234567", true},
        CaptureCase{"01234567", "01234567", false},
        CaptureCase{"1234567\xe2", "1234567\xe2", false},
        CaptureCase{"1234\xf0\x9f\x98\x80.", "1234\xf0\x9f\x98\x80", true},
        CaptureCase{"12345\xf0\x9f\x98\x80", "12345", true},
        CaptureCase{"12\xff\xff\xff\xff\xff\xff\xff\xff", "12\xff\xff\xff", true},
        CaptureCase{"12345\xef\xbf\xbd.", "12345\xef\xbf\xbd", true}}) {
    Rig rig;
    rig.with("body_capture", "{max_request_body_bytes: 8, rules: [{host: api.test}]}");
    ASSERT_EQ(rig.request("POST /").body(at.body).run(), Progress::done);
    ASSERT_TRUE(rig.exchange.capture.has_value());
    EXPECT_EQ(rig.exchange.capture->text, at.text);
    EXPECT_EQ(rig.exchange.capture->truncated, at.truncated);
    EXPECT_EQ(rig.annotations(), "{\"captured_bytes\":" + std::to_string(at.text.size()) +
                                     ",\"truncated\":" + (at.truncated ? "true}" : "false}"));
    EXPECT_LE(rig.exchange.body.bytes.size(), 9U);
  }
}

TEST(BodyCapture, NeedsOneByteMoreThanItsCap) {
  Rig rig;
  rig.with("body_capture", "rules: [{host: api.test}]");
  rig.request("POST /").body(std::string(16385, 'x'));
  BodyNeed need;
  ASSERT_EQ(rig.pipeline().run_request(rig.exchange, need), Progress::need_body);
  EXPECT_FALSE(need.whole);
  EXPECT_EQ(need.prefix, 16385U);
  ASSERT_EQ(rig.run(), Progress::done);
  EXPECT_EQ(rig.exchange.capture->text.size(), 16384U);
  EXPECT_TRUE(rig.exchange.capture->truncated);
}

TEST(BodyCapture, CapturesNothingWithoutRuleOrBody) {
  Rig rig;
  rig.with("body_capture", "{}");
  rig.request("POST /").body("x").run();
  EXPECT_FALSE(rig.exchange.capture.has_value());
  EXPECT_FALSE(rig.exchange.body.loaded);
  Rig matching;
  matching.with("body_capture", "rules: [{host: api.test}]");
  matching.request("POST /").body("").run();
  EXPECT_FALSE(matching.exchange.capture.has_value());
  EXPECT_EQ(matching.annotations(), "");
  matching.request("GET /").run();
  EXPECT_FALSE(matching.exchange.capture.has_value());
}

TEST(BodyCapture, ClientThatBreaksOffIsNoted) {
  Rig rig;
  rig.with("body_capture", "rules: [{host: api.test}]");
  rig.request("POST /").body("part");
  rig.exchange.body.failed = true;
  EXPECT_EQ(rig.run(), Progress::done);
  EXPECT_EQ(rig.annotations(), R"({"body_capture_error":"unexpected EOF"})");
  EXPECT_FALSE(rig.exchange.capture.has_value());
}

TEST(BodyCapture, RecordsTheClientsBytes) {
  Rig rig(Env{{"KEY", "REAL"}});
  rig.secrets(
         "[{source: {type: env, var: KEY}, replace: {proxy_value: tok, match_body: true}, rules: "
         "[{host: api.test}]}]")
      .with("body_capture", "rules: [{host: api.test}]");
  rig.request("POST /").body("a tok").run();
  EXPECT_EQ(rig.exchange.capture->text, "a tok");
  EXPECT_EQ(rig.sent_body(), "a REAL");
}

TEST(Pipeline, RunsInOrderAndStopsAtARefusal) {
  Rig rig;
  rig.with("allowlist", "domains: [api.test]")
      .with("allowlist", "domains: [x.test]")
      .with("annotate", "annotations: [{rules: [{host: '*'}], headers: [X]}]");
  EXPECT_EQ(rig.pipeline().joined_names(), "allowlist → allowlist → annotate");
  EXPECT_FALSE(rig.pipeline().empty());
  EXPECT_EQ(rig.request("GET /").run(), Progress::rejected);
  ASSERT_EQ(rig.exchange.request_trace_count, 2U);
  EXPECT_EQ(rig.exchange.request_traces[0].action, TraceAction::allow);
  EXPECT_EQ(rig.exchange.request_traces[1].action, TraceAction::reject);
  EXPECT_EQ(rig.exchange.response_trace_count, 0U);
}

TEST(Pipeline, EveryTransformHasAResponseTrace) {
  Rig rig;
  rig.with("allowlist", "domains: [api.test]")
      .with("annotate", "annotations: [{rules: [{host: '*'}], headers: [X]}]");
  ASSERT_EQ(rig.request("GET /").run(), Progress::done);
  EXPECT_FALSE(rig.pipeline().needs_response_body());
  EXPECT_EQ(rig.pipeline().run_response(rig.exchange), Progress::done);
  ASSERT_EQ(rig.exchange.response_trace_count, 2U);
  EXPECT_EQ(rig.exchange.response_traces[1].name, "annotate");
  EXPECT_EQ(rig.exchange.response_traces[1].action, TraceAction::allow);
}

TEST(Pipeline, LoadsTheBodyOnceForSeveralTransforms) {
  Rig rig(Env{{"KEY", "REAL"}});
  rig.with("body_capture", "{max_request_body_bytes: 2, rules: [{host: api.test}]}")
      .secrets(
          "[{source: {type: env, var: KEY}, replace: {proxy_value: tok, match_body: true}, rules: "
          "[{host: api.test}]}]")
      .with("body_capture", "{max_request_body_bytes: 4, rules: [{host: api.test}]}");
  ASSERT_EQ(rig.request("POST /").body("0123456").run(), Progress::done);
  EXPECT_EQ(rig.exchange.request_trace_count, 3U);
  EXPECT_EQ(rig.exchange.capture->text, "0123") << "the last one wins";
}

TEST(Pipeline, EmptyAllowsEverything) {
  Rig rig;
  EXPECT_TRUE(rig.pipeline().empty());
  EXPECT_EQ(rig.request("GET /").run(), Progress::done);
  EXPECT_EQ(rig.pipeline().joined_names(), "");
}

}  // namespace
}  // namespace iron::transforms
