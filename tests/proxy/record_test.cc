#include "proxy/log/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <regex>
#include <string>
#include <thread>

namespace iron::proxy {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The line without its time, which differs from run to run.
std::string rendered(const Record& record) {
  std::string line;
  render(record, line);
  const std::size_t begin = line.find("\"time\":\"") + 8;
  return line.replace(begin, line.find('"', begin) - begin, "T");
}

Record plain_record() {
  Record record;
  record.host = "up.test:8080";
  record.method = "GET";
  record.path = "/a";
  record.remote_addr = "127.0.0.1:5000";
  record.duration_ns = 252'151'900;
  record.id = 0x5f1c0a9be2d4877a;
  return record;
}

transforms::Trace trace(std::string_view name, transforms::TraceAction action, std::int64_t ns) {
  transforms::Trace result;
  result.name = name;
  result.action = action;
  result.duration_ns = ns;
  return result;
}

TEST(Record, PlainRequest) {
  EXPECT_EQ(rendered(plain_record()),
            R"({"time":"T","level":"INFO","msg":"request","audit":{"host":"up.test:8080",)"
            R"("method":"GET","path":"/a","remote_addr":"127.0.0.1:5000","sni":"","mode":"mitm",)"
            R"("action":"allow","status_code":200,"duration_ms":252.151,"request_bytes":0,)"
            R"("response_bytes":0,"id":"5f1c0a9be2d4877a"}})"
            "\n");
}

TEST(Record, EveryKeyInItsPlace) {
  transforms::Exchange check;
  check.request_traces = {trace("allowlist", transforms::TraceAction::allow, 3'000)};
  check.request_trace_count = 1;
  const std::string tunnel = render_tunnel("up.test:443", check);
  transforms::Exchange exchange;
  exchange.request_traces = {trace("allowlist", transforms::TraceAction::allow, 2'000),
                             trace("secrets", transforms::TraceAction::error, 41'000),
                             trace("left over", transforms::TraceAction::reject, 1)};
  exchange.request_traces[0].annotations = R"({"action":"warn"})";
  exchange.request_traces[1].annotations = "{}";
  exchange.request_traces[1].error = "no \"value\"";
  exchange.request_trace_count = 2;
  exchange.response_traces = {trace("allowlist", transforms::TraceAction::allow, 900)};
  exchange.response_trace_count = 1;
  exchange.capture = transforms::BodyCapture{"abc", true};
  Record record = plain_record();
  record.sni = "up.test";
  record.action = Action::error;
  record.status_code = 502;
  record.request_bytes = 12;
  record.response_bytes = 34;
  record.upstream_addr = "[::1]:443";
  record.upstream_ns = 1'500'000;
  record.tls = Record::Tls{"1.3", true};
  record.tunnel = tunnel;
  record.error = "transform secrets request: no \"value\"";
  record.exchange = &exchange;
  EXPECT_EQ(
      rendered(record),
      R"({"time":"T","level":"ERROR","msg":"request","audit":{"host":"up.test:8080",)"
      R"("method":"GET","path":"/a","remote_addr":"127.0.0.1:5000","sni":"up.test","mode":"mitm",)"
      R"("action":"error","status_code":502,"duration_ms":252.151,"request_bytes":12,)"
      R"("response_bytes":34,"upstream_addr":"[::1]:443","upstream_ms":1.5,)"
      R"("tls":{"version":"1.3","resumed":true},"id":"5f1c0a9be2d4877a"},)"
      R"("tunnel":{"target":"up.test:443","request_transforms":[)"
      R"({"name":"allowlist","action":"allow","duration_ms":0.003}]},)"
      R"("error":"transform secrets request: no \"value\"","request_transforms":[)"
      R"({"name":"allowlist","action":"allow","duration_ms":0.002,"annotations":{"action":"warn"}},)"
      R"({"name":"secrets","action":"error","duration_ms":0.041,"error":"no \"value\""}],)"
      R"("response_transforms":[{"name":"allowlist","action":"allow","duration_ms":0}],)"
      R"("body_capture":{"request_body":"abc","request_body_truncated":true}})"
      "\n");
}

TEST(Record, TheWayThroughAParentStandsBehindTheId) {
  Record record = plain_record();
  record.upstream_proxy = "http://p.test:3128";
  EXPECT_THAT(rendered(record),
              HasSubstr(R"("id":"5f1c0a9be2d4877a","upstream_proxy":"http://p.test:3128"})"));
  record.name_only = true;
  EXPECT_THAT(rendered(record), HasSubstr(R"("id":"5f1c0a9be2d4877a","deny_check":"name_only",)"
                                          R"("upstream_proxy":"http://p.test:3128"})"));
}

TEST(Record, ActionsLevelsAndModes) {
  const struct {
    Action action;
    const char *text, *level;
  } cases[] = {
      {Action::allow, "allow", "INFO"},
      {Action::reject, "reject", "WARN"},
      {Action::stub, "stub", "INFO"},
      {Action::error, "error", "ERROR"},
      {Action::client_cancel, "client_cancel", "INFO"},
  };
  for (const auto& c : cases) {
    Record record = plain_record();
    record.action = c.action;
    record.mode = transforms::Mode::sni_only;
    EXPECT_THAT(rendered(record), HasSubstr("\"level\":\"" + std::string(c.level) + "\""));
    EXPECT_THAT(rendered(record),
                HasSubstr("\"mode\":\"sni-only\",\"action\":\"" + std::string(c.text) + "\","));
  }
}

TEST(Record, ARefusalBeforePolicyHasBothKeysAndACutPath) {
  const std::string path(9000, 'p');
  Record record = plain_record();
  record.action = Action::reject;
  record.status_code = 400;
  record.path = path;
  record.rejected_by = "protocol";
  record.error = "path contains dot segments";
  const std::string line = rendered(record);
  EXPECT_THAT(line, HasSubstr("\"path\":\"" + path.substr(0, 8192) + "\","));
  EXPECT_THAT(line, testing::EndsWith("\"id\":\"5f1c0a9be2d4877a\"},\"rejected_by\":\"protocol\","
                                      "\"error\":\"path contains dot segments\"}\n"));
  record.rejected_by = "allowlist";
  EXPECT_THAT(rendered(record), HasSubstr("\"path\":\"" + path + "\","));
}

TEST(Record, CaptureIsLeftOutWhenEmptyOrForTunnelChecks) {
  transforms::Exchange exchange;
  exchange.capture = transforms::BodyCapture{"", false};
  Record record = plain_record();
  record.exchange = &exchange;
  EXPECT_THAT(rendered(record), Not(HasSubstr("body_capture")));
  exchange.capture = transforms::BodyCapture{"x", false};
  EXPECT_THAT(rendered(record),
              HasSubstr(R"(,"body_capture":{"request_body":"x","request_body_truncated":false}})"));
  exchange.tunnel_check = true;
  EXPECT_THAT(rendered(record), Not(HasSubstr("body_capture")));
}

TEST(Record, TheTunnelOfAnEmptyPipelineHasItsTargetOnly) {
  EXPECT_EQ(render_tunnel("h:1", transforms::Exchange{}), R"("tunnel":{"target":"h:1"})");
}

TEST(Record, AppendsToWhatIsThere) {
  std::string out = "before\n";
  render(plain_record(), out);
  EXPECT_TRUE(out.starts_with("before\n{\"time\":"));
}

TEST(Record, WhateverTheClientSentStaysOneLine) {
  Record record = plain_record();
  record.host = "a\nb";
  record.path = "/\xff\r\"";
  const std::string line = rendered(record);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_THAT(line, HasSubstr(R"("host":"a\nb")"));
  EXPECT_THAT(line, HasSubstr(R"("path":"/\ufffd\r\"")"));
}

TEST(RecordTime, HasNoTrailingZerosAndTheLocalOffset) {
  const std::regex utc(
      "\"time\":\"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{0,8}[1-9])?Z\"");
  const std::regex east(
      "\"time\":\"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{0,8}[1-9])?\\+05:30\"");
  // The second is remembered per thread, so each zone gets a thread of its own.
  const auto check = [](const char* zone, const std::regex& form) {
    ::setenv("TZ", zone, 1);
    ::tzset();
    std::thread([&form] {
      for (int i = 0; i < 1000; ++i) {
        std::string text;
        append_record_time(text);
        ASSERT_TRUE(std::regex_match(text, form)) << text;
      }
    }).join();
  };
  check("UTC0", utc);
  check("XYZ-5:30", east);
  ::unsetenv("TZ");
  ::tzset();
}

}  // namespace
}  // namespace iron::proxy
