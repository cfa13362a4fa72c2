// An answer's head that is accepted frames its body in one way, is read the same however it
// arrives, and reads back from what is written to the client. The text of a fault is short and,
// where it has to be, one of a few that hold nothing of the head.
#include <algorithm>
#include <string>
#include <vector>

#include "proxy/http/header_rules.h"
#include "proxy/http1/head_parser.h"
#include "proxy/http1/head_writer.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy;
using Lines = std::vector<std::pair<std::string, std::string>>;

Lines lines_of(const Headers& headers) {
  Lines lines;
  for (const Field& field : headers.all()) {
    lines.emplace_back(std::string(field.name), std::string(field.value));
  }
  return lines;
}

struct Parsed {
  HeadParser::Status status;
  std::string error;
  std::size_t consumed;
  int code;
  std::string reason;
  Lines lines;
  bool operator==(const Parsed&) const = default;
};

Parsed parse(HeadParser& parser,
             std::string_view bytes,
             std::size_t cut,
             const HeadLimits& limits) {
  Response response;
  auto status = parser.parse(bytes.substr(0, cut), limits, response);
  if (status == HeadParser::Status::incomplete) status = parser.parse(bytes, limits, response);
  Parsed parsed{status, parser.fault_text(), 0, 0, {}, {}};
  FUZZ_CHECK((status == HeadParser::Status::fault) == !parsed.error.empty());
  if (status != HeadParser::Status::complete) return parsed;
  parsed.consumed = parser.consumed();
  parsed.code = response.status;
  parsed.reason = response.reason;
  parsed.lines = lines_of(response.headers);
  return parsed;
}

Parsed parse(std::string_view bytes, std::size_t cut, const HeadLimits& limits) {
  HeadParser parser(HeadParser::Kind::response);
  return parse(parser, bytes, cut, limits);
}

/// A parser that was in another head, or in this one at another place, reads as a new one.
void check_restart(std::string_view input, const HeadLimits& limits, const Parsed& whole) {
  HeadParser parser(HeadParser::Kind::response);
  Response response;
  parser.parse(input.substr(0, input.size() / 2), limits, response);
  const std::string moved(input);
  parser.restart();
  FUZZ_CHECK(parse(parser, moved, 0, limits) == whole);
  constexpr std::string_view kNext = "HTTP/1.0 200 Next\r\nA: b\r\n\r\n";
  parser.restart();
  FUZZ_CHECK(parse(parser, kNext, 0, limits) == parse(kNext, 0, limits));
}

/// `fixed` is a text of the table and what `quoting` begins with.
void check_fixed(std::string_view fixed, std::string_view quoting) {
  constexpr std::string_view kBefore = "net/http: HTTP/1.x transport connection broken: ";
  constexpr std::string_view kTexts[] = {
      "malformed HTTP response",
      "malformed HTTP status code",
      "malformed HTTP version",
      "malformed MIME header: missing colon",
      "malformed MIME header line",
      "malformed line end",
      "too many header fields",
      "net/http: server response headers exceeded 4096 bytes; aborted",
      "http: message cannot contain multiple Content-Length headers",
      "more than one body framing",
      "unsupported transfer encoding",
      "bad Content-Length"};
  FUZZ_CHECK(quoting.starts_with(fixed) && quoting.size() < 1200);
  FUZZ_CHECK(fixed.starts_with(kBefore));
  FUZZ_CHECK(std::ranges::find(kTexts, fixed.substr(kBefore.size())) != std::end(kTexts));
}

/// Whether texts quote changes nothing else.
void check_fault_texts(std::string_view input, const HeadLimits& limits, const Parsed& whole) {
  HeadParser parser(HeadParser::Kind::response, FaultText::fixed);
  Parsed fixed = parse(parser, input, 0, limits);
  if (whole.status == HeadParser::Status::fault) check_fixed(fixed.error, whole.error);
  fixed.error = whole.error;
  FUZZ_CHECK(fixed == whole);
}

bool is_framing(const std::pair<std::string, std::string>& line) {
  return iequals(line.first, "Content-Length") || iequals(line.first, "Transfer-Encoding") ||
         iequals(line.first, "Date") || iequals(line.first, "Connection");
}

void check_reads_back(const Response& response, const BodyFraming& framing, int client_minor) {
  using Kind = BodyFraming::Kind;
  ResponseHeadOptions options;
  options.client_minor = client_minor;
  options.framing = framing.kind == Kind::none     ? ClientFraming::none
                    : framing.kind == Kind::length ? ClientFraming::length
                    : client_minor == 1            ? ClientFraming::chunked
                                                   : ClientFraming::close;
  options.close = options.framing == ClientFraming::close;
  std::string written;
  write_response_head(response, options, written);
  HeadParser parser(HeadParser::Kind::response);
  Response again;
  FUZZ_CHECK(parser.parse(written, {}, again) == HeadParser::Status::complete);
  FUZZ_CHECK(parser.consumed() == written.size());
  FUZZ_CHECK(again.status == response.status && again.reason == response.reason);
  FUZZ_CHECK(again.minor_version == client_minor);
  const ResponseChecks checks = check_response(again, "GET");
  FUZZ_CHECK(checks.error.empty());
  if (framing.kind == Kind::length) {
    FUZZ_CHECK(checks.framing.kind == Kind::length && checks.framing.length == framing.length);
  } else if (framing.kind != Kind::none) {
    FUZZ_CHECK(checks.framing.kind == (client_minor == 1 ? Kind::chunked : Kind::until_close));
  }
  Lines before = lines_of(response.headers), after = lines_of(again.headers);
  std::erase_if(before, is_framing);
  std::erase_if(after, is_framing);
  FUZZ_CHECK(before == after);
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(response_head) {
  using namespace iron::proxy;
  HeadLimits limits;
  limits.bytes = 4096;
  limits.start_line_bytes = 1024;
  limits.fields = 20;
  const Parsed whole = parse(input, 0, limits);
  for (const std::size_t cut : cuts(input)) {
    FUZZ_CHECK(parse(input, cut, limits) == whole);
  }
  check_restart(input, limits, whole);
  check_fault_texts(input, limits, whole);
  if (whole.status != HeadParser::Status::complete) return;
  FUZZ_CHECK(whole.code >= 100 && whole.code <= 999);

  HeadParser parser(HeadParser::Kind::response);
  iron::Response response;
  parser.parse(input, limits, response);
  for (const std::string_view method : {"GET", "HEAD"}) {
    const ResponseChecks checks = check_response(response, method);
    const ResponseChecks fixed = check_response(response, method, FaultText::fixed);
    FUZZ_CHECK(fixed.error.empty() == checks.error.empty());
    if (!checks.error.empty()) {
      check_fixed(fixed.error, checks.error);
      continue;
    }
    const std::size_t lengths = response.headers.count("Content-Length");
    const std::size_t codings = response.headers.count("Transfer-Encoding");
    FUZZ_CHECK(lengths + codings <= 1);
    const bool bodiless = method == "HEAD" || response.status < 200 || response.status == 204 ||
                          response.status == 304;
    FUZZ_CHECK((checks.framing.kind == BodyFraming::Kind::none) == bodiless);
    if (bodiless) continue;
    check_reads_back(response, checks.framing, 1);
    check_reads_back(response, checks.framing, 0);
  }
}
