#include "proxy/http1/head_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "proxy/http/field_text.h"
#include "tests/proxy/judged_head.h"

namespace iron::proxy {
namespace {

using test::Framing;
using test::judge;
using test::Judged;
using test::rendered;
using test::Status;
using test::with_fields;
using test::with_host_line;
using test::with_line;

struct FaultCase {
  const char* name;
  std::string input;
  HeadFault fault;
};

std::vector<FaultCase> request_line_cases() {
  using enum HeadFault;
  return {
      {"two words", with_line("GET /"), malformed},
      {"one word", with_line("GET"), malformed},
      {"empty first line", "\r\nGET / HTTP/1.1\r\nHost: h.test\r\n\r\n", malformed},
      {"leading blank", with_line(" GET / HTTP/1.1"), malformed},
      {"no method", with_line("/ HTTP/1.1"), malformed},
      {"no target", with_line("GET  HTTP/1.1"), malformed},
      {"two blanks after the method", with_line("GET  / HTTP/1.1"), malformed},
      {"two blanks before the version", with_line("GET /  HTTP/1.1"), malformed},
      {"TAB as separator", with_line("GET\t/ HTTP/1.1"), malformed},
      {"TAB before the version", with_line("GET /\tHTTP/1.1"), malformed},
      {"blank behind the version", with_line("GET / HTTP/1.1 "), malformed},
      {"TAB behind the version", with_line("GET / HTTP/1.1\t"), malformed},
      {"blank in the target", with_line("GET /a b HTTP/1.1"), malformed},
      {"method is no token", with_line("G(T / HTTP/1.1"), malformed},
      {"method with a byte above 0x7f", with_line("G\xc3\xa9T / HTTP/1.1"), malformed},
      {"method with a colon", with_line("GET: / HTTP/1.1"), malformed},
      {"TAB in the target", with_line("GET /a\tb HTTP/1.1"), malformed},
      {"control byte in the target", with_line("GET /a\x01z HTTP/1.1"), malformed},
      {"DEL in the target", with_line("GET /a\x7fz HTTP/1.1"), malformed},
      {"NUL in the target", with_line(std::string("GET /a\0z HTTP/1.1", 17)), malformed},
      {"bare CR in the target", with_line("GET /a\rb HTTP/1.1"), malformed},
      {"bare CR before CRLF", with_line("GET / HTTP/1.1\r"), malformed},
      {"bare CR as separator", with_line("GET\r/ HTTP/1.1"), malformed},
      {"bare LF behind the request line", "GET / HTTP/1.1\nHost: h.test\r\n\r\n", malformed},
      {"bare LF in the target", with_line("GET /a\nb HTTP/1.1"), malformed},
      {"fragment", with_line("GET /a#f HTTP/1.1"), malformed},
      {"fragment of an absolute target", with_line("GET http://h.test/#f HTTP/1.1"), malformed},
      {"version in lower case", with_line("GET / http/1.1"), malformed},
      {"version without minor", with_line("GET / HTTP/1"), malformed},
      {"version without digits", with_line("GET / HTTP/"), malformed},
      {"version with two minor digits", with_line("GET / HTTP/1.10"), malformed},
      {"version with two major digits", with_line("GET / HTTP/11.1"), malformed},
      {"version with a sign", with_line("GET / HTTP/+1.1"), malformed},
      {"version with a comma", with_line("GET / HTTP/1,1"), malformed},
      {"version with a letter", with_line("GET / HTTP/1.x"), malformed},
      {"another protocol", with_line("GET / ICY/1.1"), malformed},
      {"HTTP/0.9", with_line("GET / HTTP/0.9"), version},
      {"HTTP/1.2", with_line("GET / HTTP/1.2"), malformed},
      {"HTTP/1.9", with_line("GET / HTTP/1.9"), malformed},
      {"HTTP/2.0", with_line("GET / HTTP/2.0"), version},
      {"HTTP/3.0", with_line("GET / HTTP/3.0"), version},
      {"HTTP/9.9", with_line("GET / HTTP/9.9"), version},
      {"TLS record on a plain port", std::string("\x16\x03\x01\x02\x00\r\n\r\n", 9), malformed},
  };
}

std::vector<FaultCase> field_line_cases() {
  using enum HeadFault;
  return {
      {"blank before the colon", with_fields("Foo : b\r\n"), header_name},
      {"blank in the name", with_fields("Foo Bar: b\r\n"), header_name},
      {"blank before the colon of a length", with_fields("Content-Length : 5\r\n"), header_name},
      {"blank before the colon of the coding", with_fields("Transfer-Encoding : chunked\r\n"),
       header_name},
      {"TAB before the colon", with_fields("Foo\t: b\r\n"), malformed},
      {"no colon", with_fields("Foo\r\n"), malformed},
      {"empty name", with_fields(": b\r\n"), malformed},
      {"byte above 0x7f in the name", with_fields("F\xc3\xb6o: b\r\n"), malformed},
      {"control byte in the name", with_fields("F\x01o: b\r\n"), malformed},
      {"first line starts with a blank", with_host_line(" Host: h.test"), malformed},
      {"first line starts with a TAB", with_host_line("\tHost: h.test"), malformed},
      {"line fold by a blank", with_fields("Foo: a\r\n b\r\n"), malformed},
      {"line fold by a TAB", with_fields("Foo: a\r\n\tb\r\n"), malformed},
      {"line fold that hides a coding", with_fields("Foo: a\r\n Transfer-Encoding: chunked\r\n"),
       malformed},
      {"blank line of blanks", with_fields(" \r\n"), malformed},
      {"NUL in a value", with_fields(std::string_view("Foo: a\0b\r\n", 10)), malformed},
      {"bare CR in a value", with_fields("Foo: a\rb\r\n"), malformed},
      {"bare CR before CRLF", with_fields("Foo: a\r\r\n"), malformed},
      {"bare CR in a name", with_fields("Fo\ro: a\r\n"), malformed},
      {"control byte in a value", with_fields("Foo: a\x08z\r\n"), malformed},
      {"DEL in a value", with_fields("Foo: a\x7fz\r\n"), malformed},
      {"vertical tab in a value", with_fields("Foo: a\vz\r\n"), malformed},
      {"bare LF behind a field", with_fields("Foo: a\n"), malformed},
      {"bare LF between fields", with_fields("Foo: a\nBar: b\r\n"), malformed},
      {"bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: h.test\r\n\n", malformed},
      {"all line ends bare", "GET / HTTP/1.1\nHost: h.test\n\n", malformed},
      {"bare CR at the end of the head", "GET / HTTP/1.1\r\nHost: h.test\r\n\rX\r\n", malformed},
  };
}

std::vector<FaultCase> host_cases() {
  using enum HeadFault;
  return {
      {"no Host in HTTP/1.1", "GET / HTTP/1.1\r\nFoo: b\r\n\r\n", missing_host},
      {"no Host beside an absolute target", "GET http://h.test/ HTTP/1.1\r\n\r\n", missing_host},
      {"no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", none},
      {"empty Host", with_host_line("Host:"), none},
      {"two Host fields", with_fields("Host: h.test\r\n"), malformed},
      {"NUL in Host", with_host_line(std::string("Host: h\0.test", 13)), malformed},
  };
}

/// What the checks across the fields find is known here too.
std::vector<FaultCase> framing_cases() {
  using enum HeadFault;
  const std::string length = "Content-Length: ", coding = "Transfer-Encoding: ";
  return {
      {"list of lengths", with_fields(length + "3, 3\r\n"), malformed},
      {"length and coding", with_fields(length + "3\r\n" + coding + "chunked\r\n"), malformed},
      {"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", malformed},
      {"gzip, chunked", with_fields(coding + "gzip, chunked\r\n"), transfer_encoding},
      {"chunked and form feed", with_fields(coding + "chunked\f\r\n"), malformed},
      {"chunked and vertical tab", with_fields(coding + "chunked\v\r\n"), malformed},
      {"vertical tab and chunked", with_fields(coding + "\vchunked\r\n"), malformed},
      {"Expect of another kind", with_fields("Expect: 200-ok\r\n"), expectation},
  };
}

std::vector<FaultCase> all_fault_cases() {
  std::vector<FaultCase> cases = request_line_cases();
  for (auto list : {field_line_cases(), host_cases(), framing_cases()}) {
    cases.insert(cases.end(), list.begin(), list.end());
  }
  return cases;
}

TEST(RequestHead, EachFaultHasItsAnswer) {
  for (const FaultCase& row : all_fault_cases()) {
    const Judged judged = judge(row.input);
    EXPECT_EQ(judged.fault, row.fault) << row.name;
    EXPECT_NE(judged.status, Status::incomplete) << row.name;
  }
}

TEST(RequestHead, ThePrefaceOfHttp2IsRefused) {
  EXPECT_EQ(judge("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").fault, HeadFault::preface);
  EXPECT_EQ(judge("PRI / HTTP/2.0\r\n\r\n").fault, HeadFault::version);
  EXPECT_EQ(judge("PRI * HTTP/2.1\r\n\r\n").fault, HeadFault::version);
}

struct GoodCase {
  const char* name;
  std::string input;
  std::string text;
  Framing framing = Framing::none;
  std::uint64_t length = 0;
};

std::vector<GoodCase> good_cases() {
  return {
      {"plain", "GET /a?b=c HTTP/1.1\r\nHost: h.test\r\n\r\n", "GET /a?b=c 1.1\n[Host] [h.test]"},
      {"HTTP/1.0", "GET / HTTP/1.0\r\nHost: h.test\r\n\r\n", "GET / 1.0\n[Host] [h.test]"},
      {"casing, order and repeats are kept",
       "GET / HTTP/1.1\r\nx-UPPER: 1\r\nHOST: h.test\r\nx_under: 2\r\nX-Upper: 3\r\n\r\n",
       "GET / 1.1\n[x-UPPER] [1]\n[HOST] [h.test]\n[x_under] [2]\n[X-Upper] [3]"},
      {"blanks around values", "GET / HTTP/1.1\r\nHost: \t h.test \t\r\nA:b\r\nC:\r\nD:  \r\n\r\n",
       "GET / 1.1\n[Host] [h.test]\n[A] [b]\n[C] []\n[D] []"},
      {"TAB, colons and high bytes in a value",
       "GET / HTTP/1.1\r\nHost: h.test\r\nA: x\ty: \xc3\xa9\xff\r\n\r\n",
       "GET / 1.1\n[Host] [h.test]\n[A] [x\ty: \xc3\xa9\xff]"},
      {"every token character in a name",
       "GET / HTTP/1.1\r\nHost: h.test\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n",
       "GET / 1.1\n[Host] [h.test]\n[!#$%&'*+-.^_`|~09azAZ] [x]"},
      {"high bytes in the target", "GET /\xc3\xa9?\xff HTTP/1.1\r\nHost: h.test\r\n\r\n",
       "GET /\xc3\xa9?\xff 1.1\n[Host] [h.test]"},
      {"odd but legal bytes in the target",
       "GET /a%2fb|\"<>^`{}\\?x=%zz HTTP/1.1\r\nHost: h.test\r\n\r\n",
       "GET /a%2fb|\"<>^`{}\\?x=%zz 1.1\n[Host] [h.test]"},
      {"absolute form", "GET http://h.test/p HTTP/1.1\r\nHost: other.test\r\n\r\n",
       "GET http://h.test/p 1.1\n[Host] [other.test]"},
      {"authority form", "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n",
       "CONNECT h.test:443 1.1\n[Host] [h.test:443]"},
      {"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: h.test\r\n\r\n",
       "OPTIONS * 1.1\n[Host] [h.test]"},
      {"methods are any token", "m-search!x / HTTP/1.1\r\nHost: h.test\r\n\r\n",
       "m-search!x / 1.1\n[Host] [h.test]"},
      {"length", "POST / HTTP/1.1\r\nHost: h.test\r\nContent-Length: 5\r\n\r\nhello",
       "POST / 1.1\n[Host] [h.test]\n[Content-Length] [5]", Framing::length, 5},
      {"chunked", "POST / HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "POST / 1.1\n[Host] [h.test]\n[Transfer-Encoding] [chunked]", Framing::chunked},
      {"chunked in capitals",
       "POST / HTTP/1.1\r\nHost: h.test\r\ntransfer-encoding: \tCHUNKED \r\n\r\n0\r\n\r\n",
       "POST / 1.1\n[Host] [h.test]\n[transfer-encoding] [CHUNKED]", Framing::chunked},
  };
}

TEST(RequestHead, WhatIsLegalIsKeptByteForByte) {
  for (const GoodCase& row : good_cases()) {
    const Judged judged = judge(row.input);
    EXPECT_EQ(judged.fault, HeadFault::none) << row.name;
    EXPECT_EQ(judged.text, row.text) << row.name;
    EXPECT_EQ(judged.framing, row.framing) << row.name;
    EXPECT_EQ(judged.length, row.length) << row.name;
    EXPECT_EQ(judged.consumed, row.input.find("\r\n\r\n") + 4) << row.name;
  }
}

/// Every input of this file.
std::vector<std::pair<std::string, std::string>> all_inputs() {
  std::vector<std::pair<std::string, std::string>> inputs;
  for (const FaultCase& row : all_fault_cases()) inputs.emplace_back(row.name, row.input);
  for (const GoodCase& row : good_cases()) inputs.emplace_back(row.name, row.input);
  return inputs;
}

TEST(RequestHead, TheResultDoesNotDependOnHowTheBytesArrive) {
  for (const auto& [name, input] : all_inputs()) {
    const Judged whole = judge(input);
    std::vector<std::size_t> each_byte;
    for (std::size_t stop = 0; stop < input.size(); ++stop) {
      EXPECT_EQ(judge(input, {stop}), whole) << name << ", split at " << stop;
      each_byte.push_back(stop);
    }
    EXPECT_EQ(judge(input, each_byte), whole) << name << ", byte by byte";
  }
}

TEST(RequestHead, APrefixOfAGoodHeadIsIncomplete) {
  for (const GoodCase& row : good_cases()) {
    const std::size_t end = row.input.find("\r\n\r\n") + 4;
    for (std::size_t size = 0; size < end; ++size) {
      EXPECT_EQ(judge(row.input.substr(0, size)).status, Status::incomplete)
          << row.name << " " << size;
    }
  }
}

TEST(RequestHead, RestartReadsTheSameHeadAtAnotherAddress) {
  const std::string input = "GET /a HTTP/1.1\r\nHost: h.test\r\nFoo: b\r\n\r\n";
  HeadParser parser(HeadParser::Kind::request);
  Request request;
  ASSERT_EQ(parser.parse(std::string(input, 0, 30), {}, request), Status::incomplete);
  parser.restart();
  ASSERT_EQ(parser.parse(input, {}, request), Status::complete);
  EXPECT_EQ(rendered(request.headers), "\n[Host] [h.test]\n[Foo] [b]");
  EXPECT_EQ(request.target.data(), input.data() + 4);
}

TEST(RequestHead, RestartReadsTheNextHead) {
  const std::string input =
      "GET /1 HTTP/1.1\r\nHost: h.test\r\n\r\nGET /2 HTTP/1.0\r\nHost: g.test\r\n\r\n";
  HeadParser parser(HeadParser::Kind::request);
  Request request;
  ASSERT_EQ(parser.parse(input, {}, request), Status::complete);
  EXPECT_EQ(request.target, "/1");
  const std::string_view rest = std::string_view(input).substr(parser.consumed());
  parser.restart();
  ASSERT_EQ(parser.parse(rest, {}, request), Status::complete);
  EXPECT_EQ(request.target, "/2");
  EXPECT_EQ(request.minor_version, 0);
  EXPECT_EQ(rendered(request.headers), "\n[Host] [g.test]");
}

TEST(RequestHead, AcceptedHeadsHoldNothingAmbiguous) {
  const std::string good =
      "POST /a?b HTTP/1.1\r\nHost: h.test\r\nA: b c\r\nContent-Length: 12\r\nX: y\r\n\r\n";
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string input = good;
      input[at] = static_cast<char>(byte);
      HeadParser parser(HeadParser::Kind::request);
      Request request;
      if (parser.parse(input, {}, request) != Status::complete) continue;
      if (parser.fault() != HeadFault::none) continue;
      if (check_request(request).fault != HeadFault::none) continue;
      EXPECT_LE(request.headers.count("Host"), 1u);
      EXPECT_LE(request.headers.count("Content-Length"), 1u);
      EXPECT_TRUE(is_token(request.method));
      for (const Field& field : request.headers.all()) {
        EXPECT_TRUE(is_token(field.name)) << at << " " << byte;
        for (const char octet : field.value) {
          EXPECT_TRUE(octet == '\t' || (static_cast<unsigned char>(octet) >= 0x20 && octet != 0x7f))
              << at << " " << byte;
        }
      }
      EXPECT_EQ(request.target.find_first_of(std::string_view("\0\r\n\t #\x7f", 7)),
                std::string_view::npos)
          << at << " " << byte;
    }
  }
}

TEST(BlankLine, IsOneCrlf) {
  EXPECT_EQ(leading_blank_line("\r"), BlankLine::begun);
  EXPECT_EQ(leading_blank_line("\r\n"), BlankLine::whole);
  EXPECT_EQ(leading_blank_line("\r\nGET / HTTP/1.1"), BlankLine::whole);
  for (const char* other : {"\n", "\r\r\n", "\rG", "\n\r", " \r\n", "GET"}) {
    EXPECT_EQ(leading_blank_line(other), BlankLine::none) << other;
  }
  EXPECT_EQ(kBlankLineSize, std::string_view("\r\n").size());
}

}  // namespace
}  // namespace iron::proxy
