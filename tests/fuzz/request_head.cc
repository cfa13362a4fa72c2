// A head that is accepted holds nothing ambiguous, is read the same however it arrives, reads back
// from what is written upstream, and another parser sees the same request in it.
#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <vector>

#include "proxy/http/field_text.h"
#include "proxy/http/header_rules.h"
#include "proxy/http1/head_parser.h"
#include "proxy/http1/head_writer.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy;
namespace beast = boost::beast;
using Lines = std::vector<std::pair<std::string, std::string>>;

Lines lines_of(const Headers& headers) {
  Lines lines;
  for (const Field& field : headers.all()) {
    lines.emplace_back(std::string(field.name), std::string(field.value));
  }
  return lines;
}

/// What Beast makes of a request head.
class Second : public beast::http::basic_parser<true> {
 public:
  std::string method, target;
  int version = 0;
  Lines lines;

 private:
  using Text = beast::string_view;
  using Code = beast::error_code;
  void on_request_impl(
      beast::http::verb, Text method_in, Text target_in, int version_in, Code&) override {
    method = std::string(method_in);
    target = std::string(target_in);
    version = version_in;
  }
  void on_response_impl(int, Text, int, Code&) override {}
  void on_field_impl(beast::http::field, Text name, Text value, Code&) override {
    lines.emplace_back(std::string(name), std::string(value));
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(Text body, Code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, Code&) override { return body.size(); }
  void on_finish_impl(Code&) override {}
};

struct Parsed {
  HeadParser::Status status;
  HeadFault fault;
  std::size_t consumed;
  std::string start;
  Lines lines;
  bool operator==(const Parsed&) const = default;
};

Parsed parse(HeadParser& parser,
             std::string_view bytes,
             std::size_t cut,
             const HeadLimits& limits) {
  Request request;
  auto status = parser.parse(bytes.substr(0, cut), limits, request);
  if (status == HeadParser::Status::incomplete) status = parser.parse(bytes, limits, request);
  Parsed parsed{status, parser.fault(), 0, {}, {}};
  if (status != HeadParser::Status::complete) return parsed;
  parsed.consumed = parser.consumed();
  parsed.start = std::string(request.method) + " " + std::string(request.target) + " " +
                 std::to_string(request.minor_version);
  parsed.lines = lines_of(request.headers);
  return parsed;
}

Parsed parse(std::string_view bytes, std::size_t cut, const HeadLimits& limits) {
  HeadParser parser(HeadParser::Kind::request);
  return parse(parser, bytes, cut, limits);
}

/// A parser that was in another head, or in this one at another place, reads as a new one.
void check_restart(std::string_view input, const HeadLimits& limits, const Parsed& whole) {
  HeadParser parser(HeadParser::Kind::request);
  Request request;
  parser.parse(input.substr(0, input.size() / 2), limits, request);
  const std::string moved(input);
  parser.restart();
  FUZZ_CHECK(parse(parser, moved, 0, limits) == whole);
  constexpr std::string_view kNext = "GET /next HTTP/1.0\r\nA: b\r\n\r\n";
  parser.restart();
  FUZZ_CHECK(parse(parser, kNext, 0, limits) == parse(kNext, 0, limits));
}

/// A list as RFC 9110 section 5.6.1 has it, split plainly: each element is in it, what is no
/// element is not.
void check_tokens(std::string_view value) {
  std::vector<std::string> elements;
  std::string element;
  for (const char c : std::string(value) + ",") {
    if (c != ',') {
      element.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
      continue;
    }
    const std::size_t first = element.find_first_not_of(" \t");
    if (first != element.npos) {
      elements.push_back(element.substr(first, element.find_last_not_of(" \t") - first + 1));
    }
    element.clear();
  }
  for (const std::string& at : elements) {
    FUZZ_CHECK(has_token(value, at));
    const std::string longer = at + "x";
    FUZZ_CHECK(has_token(value, longer) == (std::ranges::find(elements, longer) != elements.end()));
  }
  for (const std::string_view name : {"close", "keep-alive", "upgrade"}) {
    FUZZ_CHECK(has_token(value, name) == (std::ranges::find(elements, name) != elements.end()));
  }
}

void check_unambiguous(const Request& request, const RequestChecks& checks, std::string_view head) {
  FUZZ_CHECK(head.find('\0') == head.npos);
  for (std::size_t at = 0; at < head.size(); ++at) {
    if (head[at] == '\r') FUZZ_CHECK(head[at + 1] == '\n');
    if (head[at] == '\n') FUZZ_CHECK(at > 0 && head[at - 1] == '\r');
  }
  const std::size_t lengths = request.headers.count("Content-Length");
  const std::size_t codings = request.headers.count("Transfer-Encoding");
  FUZZ_CHECK(request.headers.count("Host") <= 1);
  FUZZ_CHECK(lengths + codings <= 1);
  FUZZ_CHECK((checks.framing.kind == BodyFraming::Kind::chunked) == (codings == 1));
  FUZZ_CHECK(request.minor_version == 1 || codings == 0);
  for (const Field& field : request.headers.all()) FUZZ_CHECK(is_token(field.name));
}

void check_second_opinion(std::string_view head,
                          const Request& request,
                          const RequestChecks& checks) {
  Second second;
  second.header_limit(0x7fffffff);
  second.body_limit(boost::none);
  beast::error_code error;
  second.put(boost::asio::buffer(head.data(), head.size()), error);
  // Beast wants tokens in Connection; what is none names no field, and the field goes no further.
  const bool connection =
      request.headers.count("Connection") > 0 || request.headers.count("Proxy-Connection") > 0;
  if (connection && error == beast::http::error::bad_value) return;
  FUZZ_CHECK(!error || error == beast::http::error::need_more);
  FUZZ_CHECK(second.is_header_done());
  FUZZ_CHECK(second.method == request.method && second.target == request.target);
  FUZZ_CHECK(second.version == 10 + request.minor_version);
  FUZZ_CHECK(second.lines == lines_of(request.headers));
  FUZZ_CHECK(second.chunked() == (checks.framing.kind == BodyFraming::Kind::chunked));
  FUZZ_CHECK(second.content_length().value_or(0) == checks.framing.length);
}

void check_reads_back(const Request& request, const RequestChecks& checks) {
  transforms::Exchange exchange;
  exchange.request = request;
  const std::size_t query = request.target.find('?');
  exchange.raw_path = request.target.substr(0, query);
  exchange.has_query = query != request.target.npos;
  if (exchange.has_query) exchange.raw_query = request.target.substr(query + 1);
  const std::string_view host = checks.host != nullptr ? checks.host->value : "h.test";
  std::string written(request_head_bound(exchange, host), '\0');
  const char* end = write_request_head(exchange, host, {}, written.data()).end;
  FUZZ_CHECK(end <= written.data() + written.size());
  written.resize(static_cast<std::size_t>(end - written.data()));

  HeadParser parser(HeadParser::Kind::request);
  Request again;
  HeadLimits wide;
  wide.bytes = wide.connect_bytes = wide.start_line_bytes = written.size() + 1;
  wide.fields += 2;
  FUZZ_CHECK(parser.parse(written, wide, again) == HeadParser::Status::complete);
  FUZZ_CHECK(parser.consumed() == written.size());
  const RequestChecks checked = check_request(again);
  FUZZ_CHECK(checked.fault == HeadFault::none);
  FUZZ_CHECK(checked.framing.kind == checks.framing.kind);
  FUZZ_CHECK(checked.framing.length == checks.framing.length);
  FUZZ_CHECK(again.method == request.method);
  const bool lone_query = request.target.front() == '?';
  FUZZ_CHECK(again.target == (lone_query ? "/" + std::string(request.target) : request.target));
  Lines before = lines_of(request.headers), after = lines_of(again.headers);
  if (checks.host == nullptr) before.insert(before.begin(), {"Host", "h.test"});
  if (after.size() > before.size()) {
    FUZZ_CHECK((after.back() == std::pair<std::string, std::string>("Content-Length", "0")));
    after.pop_back();
  }
  FUZZ_CHECK(before == after);
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(request_head) {
  using namespace iron::proxy;
  HeadLimits limits;
  limits.bytes = 4096;
  limits.connect_bytes = 512;
  limits.start_line_bytes = 1024;
  limits.fields = 20;
  const Parsed whole = parse(input, 0, limits);
  for (const std::size_t cut : cuts(input)) {
    FUZZ_CHECK(parse(input, cut, limits) == whole);
  }
  check_restart(input, limits, whole);
  for (const auto& line : whole.lines) check_tokens(line.second);
  if (whole.status != HeadParser::Status::complete || whole.fault != HeadFault::none) return;
  FUZZ_CHECK(whole.consumed <= limits.bytes && whole.lines.size() <= limits.fields);

  HeadParser parser(HeadParser::Kind::request);
  iron::Request request;
  parser.parse(input, limits, request);
  const RequestChecks checks = check_request(request);
  if (checks.fault != HeadFault::none) return;
  const std::string_view head = input.substr(0, whole.consumed);
  check_unambiguous(request, checks, head);
  check_second_opinion(head, request, checks);
  check_reads_back(request, checks);
}
