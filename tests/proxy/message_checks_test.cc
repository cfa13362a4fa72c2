#include "proxy/http/message_checks.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace iron::proxy {
namespace {

using Kind = BodyFraming::Kind;

/// Lines `name: value`, each ended by `|`, as the parser has them.
Headers headers_of(std::string_view lines) {
  Headers headers;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('|'));
    const std::size_t colon = line.find(": ");
    headers.add(line.substr(0, colon), line.substr(colon + 2));
    lines.remove_prefix(line.size() + 1);
  }
  return headers;
}

RequestChecks check_request(std::string_view lines, int minor_version = 1) {
  Request request;
  request.method = "POST";
  request.target = "/";
  request.minor_version = minor_version;
  request.headers = headers_of(lines);
  return proxy::check_request(request);
}

struct RequestFault {
  const char* name;
  std::string lines;  ///< beside Host
  HeadFault fault;
};

const std::string kLength = "Content-Length: ", kCoding = "Transfer-Encoding: ";

std::vector<RequestFault> lengths() {
  using enum HeadFault;
  return {
      {"length with a plus", kLength + "+5|", malformed},
      {"length with a minus", kLength + "-1|", malformed},
      {"length in hexadecimal", kLength + "0x5|", malformed},
      {"length with a separator", kLength + "1_0|", malformed},
      {"length with a blank inside", kLength + "1 0|", malformed},
      {"length with a fraction", kLength + "1.0|", malformed},
      {"empty length", kLength + "|", malformed},
      {"length of letters", kLength + "x|", malformed},
      {"length with a letter behind", kLength + "5x|", malformed},
      {"length in fullwidth digits", kLength + "\xef\xbc\x95|", malformed},
      {"length with a byte below the digits", kLength + "1/|", malformed},
      {"length with a byte above the digits", kLength + "1:|", malformed},
      {"list of equal lengths", kLength + "3, 3|", malformed},
      {"list of lengths without blank", kLength + "3,3|", malformed},
      {"list of one length", kLength + "3,|", malformed},
      {"length of 19 digits", kLength + "1000000000000000000|", malformed},
      {"length of many zeroes", kLength + "0000000000000000005|", malformed},
      {"length above 64 bits", kLength + "18446744073709551617|", malformed},
      {"two equal lengths", kLength + "3|content-length: 3|", malformed},
      {"two lengths", kLength + "3|" + kLength + "4|", malformed},
      {"length and coding", kLength + "3|" + kCoding + "chunked|", malformed},
      {"coding and length", kCoding + "chunked|" + kLength + "3|", malformed},
      {"length of zero and coding", kLength + "0|" + kCoding + "chunked|", malformed},
      {"unknown coding and length", kCoding + "gzip|" + kLength + "3|", malformed},
  };
}

std::vector<RequestFault> codings() {
  using enum HeadFault;
  return {
      {"gzip", kCoding + "gzip|", transfer_encoding},
      {"identity", kCoding + "identity|", transfer_encoding},
      {"gzip, chunked", kCoding + "gzip, chunked|", transfer_encoding},
      {"identity, chunked", kCoding + "identity, chunked|", transfer_encoding},
      {"chunked, chunked", kCoding + "chunked, chunked|", transfer_encoding},
      {"chunked with a comma", kCoding + "chunked,|", transfer_encoding},
      {"comma with chunked", kCoding + ",chunked|", transfer_encoding},
      {"chunked with a parameter", kCoding + "chunked;q=1|", transfer_encoding},
      {"quoted chunked", kCoding + "\"chunked\"|", transfer_encoding},
      {"xchunked", kCoding + "xchunked|", transfer_encoding},
      {"chunkedx", kCoding + "chunkedx|", transfer_encoding},
      {"chunked and a no-break space", kCoding + "chunked\xc2\xa0|", transfer_encoding},
      {"empty coding", kCoding + "|", transfer_encoding},
      {"two codings", kCoding + "chunked|" + kCoding + "chunked|", transfer_encoding},
      {"two codings, one empty", kCoding + "chunked|" + kCoding + "|", transfer_encoding},
  };
}

std::vector<RequestFault> expectations() {
  using enum HeadFault;
  return {
      {"of another kind", "Expect: 200-ok|", expectation},
      {"of two kinds", "Expect: 100-continue, x|", expectation},
      {"of one kind twice", "Expect: 100-continue, 100-continue|", expectation},
      {"with a parameter", "Expect: 100-continue;x|", expectation},
      {"of nothing", "Expect: |", expectation},
      {"two fields, the first odd", "Expect: x|Expect: 100-continue|", expectation},
      {"two fields, the last odd", "Expect: 100-continue|Expect: x|", expectation},
      // What makes the framing doubtful comes first: nothing behind it can be read.
      {"beside a broken length", "Expect: x|" + kLength + "x|", malformed},
      {"beside an unknown coding", "Expect: x|" + kCoding + "gzip|", transfer_encoding},
  };
}

TEST(RequestChecks, EachFaultHasItsAnswer) {
  for (const auto& rows : {lengths(), codings(), expectations()}) {
    for (const RequestFault& row : rows) {
      const RequestChecks checks = check_request("Host: h.test|" + row.lines);
      EXPECT_EQ(checks.fault, row.fault) << row.name;
      EXPECT_FALSE(checks.expects_continue) << row.name;
      EXPECT_EQ(check_request(row.lines + "Host: h.test|").fault, row.fault)
          << row.name << ", Host behind";
    }
  }
}

TEST(RequestChecks, AnOldClientHasNoCoding) {
  for (const char* lines : {"Transfer-Encoding: chunked|", "Transfer-Encoding: gzip|",
                            "Transfer-Encoding: chunked|Content-Length: 3|"}) {
    EXPECT_EQ(check_request(lines, 0).fault, HeadFault::malformed) << lines;
  }
}

TEST(RequestChecks, HostIsThereOnce) {
  using enum HeadFault;
  const struct {
    const char* name;
    std::string_view lines;
    int minor_version;
    HeadFault fault;
    std::string_view host = {};
  } rows[] = {
      {"one", "hOST: h.test|", 1, none, "h.test"},
      {"one among others", "A: b|Host: h.test|C: d|", 1, none, "h.test"},
      {"an empty one", "Host: |", 1, none, ""},
      {"none", "A: b|", 1, missing_host},
      {"none in HTTP/1.0", "A: b|", 0, none},
      {"one of a longer name", "Hosts: h.test|", 1, missing_host},
      {"two", "Host: h.test|Host: h.test|", 1, malformed},
      {"two, other case and value", "Host: h.test|hOST: evil.test|", 1, malformed},
      {"two, one empty", "Host: h.test|Host: |", 1, malformed},
      {"two in HTTP/1.0", "Host: a.test|Host: b.test|", 0, malformed},
      {"none, beside a broken length", "Content-Length: x|", 1, malformed},
      {"none, beside an expectation", "Expect: x|", 1, missing_host},
  };
  for (const auto& row : rows) {
    Request request;
    request.minor_version = row.minor_version;
    request.headers = headers_of(row.lines);
    const RequestChecks checks = proxy::check_request(request);
    EXPECT_EQ(checks.fault, row.fault) << row.name;
    if (row.fault != none) continue;
    const Field* const host = request.headers.find("Host");
    EXPECT_EQ(checks.host, host) << row.name;
    EXPECT_EQ(host == nullptr ? std::string_view() : host->value, row.host) << row.name;
  }
}

TEST(RequestChecks, SayHowTheBodyIsFramed) {
  const struct {
    std::string_view lines;
    int minor_version;
    Kind kind;
    std::uint64_t length;
    bool expects_continue = false;
  } rows[] = {
      {"A: b|", 1, Kind::none, 0},
      {"Content-Length: 5|", 1, Kind::length, 5},
      {"Content-Length: 5|", 0, Kind::length, 5},
      {"content-LENGTH: 999999999999999999|", 1, Kind::length, 999'999'999'999'999'999},
      {"Content-Length: 000000000000000012|", 1, Kind::length, 12},
      {"Content-Length: 0|", 1, Kind::none, 0},
      {"Content-Length: 000|", 1, Kind::none, 0},
      {"Transfer-Encoding: chunked|", 1, Kind::chunked, 0},
      {"transfer-encoding: CHUNKED|", 1, Kind::chunked, 0},
      {"Content-Lengths: 5|Transfer-Encodings: x|TE: x|", 1, Kind::none, 0},
      {"Expect: 100-Continue|Content-Length: 5|", 1, Kind::length, 5, true},
      {"Expect: 100-continue|expect: 100-CONTINUE|", 1, Kind::none, 0, true},
  };
  for (const auto& row : rows) {
    const RequestChecks checks =
        check_request("Host: h.test|" + std::string(row.lines), row.minor_version);
    EXPECT_EQ(checks.fault, HeadFault::none) << row.lines;
    EXPECT_EQ(checks.framing.kind, row.kind) << row.lines;
    EXPECT_EQ(checks.framing.length, row.length) << row.lines;
    EXPECT_EQ(checks.expects_continue, row.expects_continue) << row.lines;
  }
}

ResponseChecks check_response(std::string_view lines,
                              FaultText text = FaultText::quoting,
                              int minor_version = 1) {
  Response response;
  response.status = 200;
  response.minor_version = minor_version;
  response.headers = headers_of(lines);
  return proxy::check_response(response, "GET", text);
}

TEST(ResponseChecks, FaultsAreNamedAsRecordsHaveThem) {
  const std::string twice = "http: message cannot contain multiple Content-Length headers";
  const std::string both = "more than one body framing";
  const std::string length = "bad Content-Length", coding = "unsupported transfer encoding";
  const struct {
    std::string lines, fixed, quoted;  ///< the fault, and what quotes the origin behind it
    int minor_version = 1;
  } rows[] = {
      {kLength + "x|", length, " \"x\""},
      {kLength + "+5|", length, " \"+5\""},
      {kLength + "-5|", length, " \"-5\""},
      {kLength + "|", length, " \"\""},
      {kLength + "3, 3|", length, " \"3, 3\""},
      {kLength + "1000000000000000000|", length, " \"1000000000000000000\""},
      {kLength + std::string(120, '9') + "|", length, " \"" + std::string(100, '9') + "\""},
      {kLength + "3|" + kLength + "3|", twice, "; got [\"3\" \"3\"]"},
      {kLength + "3|A: b|content-length: 4|", twice, "; got [\"3\" \"4\"]"},
      {kLength + "3|" + kCoding + "chunked|", both, ""},
      {kCoding + "chunked|" + kLength + "3|", both, ""},
      {kCoding + "chunked|" + kCoding + "chunked|", both, ""},
      {kCoding + "gzip|", coding, ": \"gzip\""},
      {kCoding + "gzip, chunked|", coding, ": \"gzip, chunked\""},
      {kCoding + "|", coding, ": \"\""},
      {kCoding + "chunked|", coding, ": \"chunked\"", 0},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(check_response(row.lines, FaultText::quoting, row.minor_version).error,
              "net/http: HTTP/1.x transport connection broken: " + row.fixed + row.quoted);
    EXPECT_EQ(check_response(row.lines, FaultText::fixed, row.minor_version).error,
              "net/http: HTTP/1.x transport connection broken: " + row.fixed);
  }
}

TEST(ResponseChecks, ManyLengthsMakeNoLongRecord) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += kLength + std::string(90, '1') + "|";
  EXPECT_LT(check_response(lines).error.size(), 500U);
}

TEST(ResponseChecks, FramingFollowsRfc9112) {
  const struct {
    const char* name;
    int status;
    const char* method;
    std::string_view lines;
    Kind kind;
    std::uint64_t length = 0;
    int minor_version = 1;
  } rows[] = {
      {"length", 200, "GET", "Content-Length: 3|", Kind::length, 3},
      {"length of zero", 200, "GET", "Content-Length: 0|", Kind::length, 0},
      {"length in HTTP/1.0", 200, "GET", "Content-Length: 3|", Kind::length, 3, 0},
      {"chunked", 200, "GET", "Transfer-Encoding: Chunked|", Kind::chunked},
      {"until the end", 200, "GET", "A: b|", Kind::until_close},
      {"until the end in HTTP/1.0", 200, "GET", "A: b|", Kind::until_close, 0, 0},
      {"HEAD with length", 200, "HEAD", "Content-Length: 3|", Kind::none},
      {"HEAD, chunked", 200, "HEAD", "Transfer-Encoding: chunked|", Kind::none},
      {"HEAD without framing", 200, "HEAD", "", Kind::none},
      {"head in lower case is another method", 200, "head", "Content-Length: 3|", Kind::length, 3},
      {"204 with length", 204, "GET", "Content-Length: 3|", Kind::none},
      {"304 with length", 304, "GET", "Content-Length: 3|", Kind::none},
      {"304, chunked", 304, "GET", "Transfer-Encoding: chunked|", Kind::none},
      {"101", 101, "GET", "", Kind::none},
      {"103", 103, "GET", "Link: x|", Kind::none},
      {"199", 199, "GET", "Content-Length: 3|", Kind::none},
      {"205 without length", 205, "GET", "", Kind::until_close},
      {"999", 999, "GET", "", Kind::until_close},
  };
  for (const auto& row : rows) {
    Response response;
    response.status = row.status;
    response.minor_version = row.minor_version;
    response.headers = headers_of(row.lines);
    const ResponseChecks checks = proxy::check_response(response, row.method);
    EXPECT_EQ(checks.error, "") << row.name;
    EXPECT_EQ(checks.framing.kind, row.kind) << row.name;
    EXPECT_EQ(checks.framing.length, row.length) << row.name;
  }
}

TEST(AnswerFieldName, LosesBlanksUnlessItFrames) {
  const struct {
    std::string_view before_colon, name;
  } rows[] = {
      {"Server", "Server"},
      {"Server ", "Server"},
      {"X\t \t", "X"},
      {" ", ""},
      {"", ""},
      {" X ", " X"},
      {"A B ", "A B"},
      {"X\v", "X\v"},
      {"Content-Length ", "Content-Length "},
      {"content-length\t", "content-length\t"},
      {"TRANSFER-ENCODING \t ", "TRANSFER-ENCODING \t "},
      {"Content-Length", "Content-Length"},
      {"Content-Lengths ", "Content-Lengths"},
  };
  for (const auto& row : rows) EXPECT_EQ(answer_field_name(row.before_colon), row.name);
}

TEST(Described, QuotesNoMoreThanARecordHasRoomFor) {
  const struct {
    std::string what, bytes;
    FaultText text;
    std::string described;
  } rows[] = {
      {"bad:", "a\r\n\"", FaultText::quoting, "bad: \"a\\r\\n\\\"\""},
      {"bad:", "a", FaultText::fixed, "bad"},
      {"bad", "a", FaultText::fixed, "bad"},
      {"bad", std::string(101, 'x'), FaultText::quoting, "bad \"" + std::string(100, 'x') + "\""},
  };
  for (const auto& row : rows) EXPECT_EQ(described(row.what, row.bytes, row.text), row.described);
}

}  // namespace
}  // namespace iron::proxy
