// Whatever a client sends, its record is one line of JSON that an independent parser reads, with
// the same texts after repair of their UTF-8.
#include <simdjson.h>

#include <string>

#include "proxy/log/record.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/reference.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy;

void append_utf8(std::string& out, char32_t point) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

std::string repaired(std::string_view text) {
  std::string out;
  for (const char32_t point : reference::code_points(text)) append_utf8(out, point);
  return out;
}

void expect(simdjson::simdjson_result<simdjson::dom::element> element, std::string_view text) {
  std::string_view read;
  FUZZ_CHECK(element.get_string().get(read) == simdjson::SUCCESS);
  FUZZ_CHECK(read == repaired(text));
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(audit_line) {
  static simdjson::dom::parser parser;
  Cutter cutter(input);
  Record record;
  record.action = static_cast<Action>(cutter.up_to(4));
  record.status_code = static_cast<int>(cutter.up_to(999));
  record.duration_ns = static_cast<std::int64_t>(cutter.up_to(1ULL << 60));
  record.id = cutter.up_to(static_cast<std::size_t>(-1));
  if (cutter.flag()) record.tls = Record::Tls{"1.3", cutter.flag()};
  record.host = cutter.text('|');
  record.method = cutter.text('|');
  record.path = cutter.text('|');
  record.remote_addr = cutter.text('|');
  record.sni = cutter.text('|');
  record.upstream_addr = cutter.text('|');
  record.rejected_by = cutter.text('|');
  record.error = cutter.text('|');
  const std::string target(cutter.text('|'));
  iron::transforms::Exchange check, exchange;
  check.new_request_trace().name = cutter.text('|');
  iron::transforms::Trace& trace = exchange.new_request_trace();
  trace.name = cutter.text('|');
  trace.error = cutter.text('|');
  trace.duration_ns = static_cast<std::int64_t>(cutter.up_to(1ULL << 40));
  trace.action = static_cast<iron::transforms::TraceAction>(cutter.up_to(3));
  if (cutter.flag()) trace.annotations = R"({"a":["b"]})";
  if (cutter.flag()) exchange.new_response_trace().name = "allowlist";
  if (cutter.flag()) record.upstream_ns = trace.duration_ns;
  record.mode = static_cast<iron::transforms::Mode>(cutter.up_to(1));
  record.request_bytes = cutter.up_to(1ULL << 62);
  exchange.capture = iron::transforms::BodyCapture{std::string(cutter.rest()), true};
  const std::string tunnel = render_tunnel(target, check);
  record.tunnel = tunnel;
  record.exchange = &exchange;

  std::string line;
  render(record, line);
  FUZZ_CHECK(line.ends_with("}\n") && line.find('\n') == line.size() - 1);
  // Readers that split at other line ends than LF must not find one either.
  for (const std::string_view end :
       {"\r", "\v", "\f", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"}) {
    FUZZ_CHECK(line.find(end) == line.npos || end == "\xc2\x85");
  }
  simdjson::dom::element root;
  FUZZ_CHECK(parser.parse(line).get(root) == simdjson::SUCCESS);
  expect(root["audit"]["host"], record.host);
  expect(root["audit"]["method"], record.method);
  expect(root["audit"]["path"],
         record.rejected_by == "protocol" ? record.path.substr(0, 8192) : record.path);
  expect(root["audit"]["remote_addr"], record.remote_addr);
  expect(root["audit"]["sni"], record.sni);
  if (!record.upstream_addr.empty()) expect(root["audit"]["upstream_addr"], record.upstream_addr);
  if (!record.rejected_by.empty()) expect(root["rejected_by"], record.rejected_by);
  if (!record.error.empty()) expect(root["error"], record.error);
  expect(root["tunnel"]["target"], target);
  expect(root["tunnel"]["request_transforms"].at(0)["name"], check.request_traces[0].name);
  expect(root["request_transforms"].at(0)["name"], trace.name);
  if (!trace.error.empty()) expect(root["request_transforms"].at(0)["error"], trace.error);
  if (!exchange.capture->text.empty())
    expect(root["body_capture"]["request_body"], exchange.capture->text);
  FUZZ_CHECK(level_of(record) == Level::info || root["level"].get_string().value() != "INFO");
  FUZZ_CHECK(root["audit"]["request_bytes"].get_uint64().value() == record.request_bytes);
  FUZZ_CHECK(root["response_transforms"].error() ==
             (exchange.response_trace_count > 0 ? simdjson::SUCCESS : simdjson::NO_SUCH_FIELD));
  FUZZ_CHECK((root["request_transforms"].at(0)["annotations"]["a"].at(0).error() ==
              simdjson::SUCCESS) == !exchange.request_traces[0].annotations.empty());
  std::int64_t status = 0;
  FUZZ_CHECK(root["audit"]["status_code"].get_int64().get(status) == simdjson::SUCCESS);
  FUZZ_CHECK(status == record.status_code);
}
