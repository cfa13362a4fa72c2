#include "proxy/http1/head_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "policy/secret/secret.h"
#include "proxy/http/answers.h"
#include "proxy/http1/head_parser.h"
#include "tests/proxy/parsed_request.h"

namespace iron::proxy {
namespace {

using test::lines_of;
using test::Parsed;

// The head that goes upstream.

std::string upstream_head(Parsed& parsed,
                          std::string_view host,
                          const UpstreamFraming& framing = {}) {
  const std::size_t bound = request_head_bound(parsed.exchange, host);
  std::string out(bound, '\0');
  char* end = write_request_head(parsed.exchange, host, framing, out.data()).end;
  const auto size = static_cast<std::size_t>(end - out.data());
  EXPECT_LE(size, bound);
  out.resize(size);
  return out;
}

TEST(UpstreamHead, KeepsOrderCasingAndPlaces) {
  Parsed parsed(
      "x-b: 1\r\nHOST: client.test\r\nX-A:\r\ncontent-LENGTH: 3\r\nUser-Agent: a\r\n"
      "User-Agent: b\r\n",
      "PUT /a%2fb?x=%zz? HTTP/1.1");
  EXPECT_EQ(upstream_head(parsed, "client.test"),
            "PUT /a%2fb?x=%zz? HTTP/1.1\r\nx-b: 1\r\nHOST: client.test\r\nX-A: \r\n"
            "content-LENGTH: 3\r\nUser-Agent: a\r\nUser-Agent: b\r\n\r\n");
}

TEST(UpstreamHead, TheEffectiveHostReplacesTheFieldInPlace) {
  Parsed parsed("A: b\r\nHost: other.test\r\nC: d\r\n");
  EXPECT_EQ(upstream_head(parsed, "target.test:8080"),
            "GET /p?q HTTP/1.1\r\nA: b\r\nHost: target.test:8080\r\nC: d\r\n\r\n");
}

TEST(UpstreamHead, AMissingHostIsAdded) {
  Parsed parsed("A: b\r\n", "GET /p HTTP/1.0");
  EXPECT_EQ(upstream_head(parsed, "h.test"), "GET /p HTTP/1.1\r\nHost: h.test\r\nA: b\r\n\r\n");
}

TEST(UpstreamHead, AParentGetsTheAbsoluteFormAndItsLoginLast) {
  const policy::ProxyUrl parent = policy::ProxyUrl::parse("http://user:pass@p");
  const auto head = [](Parsed& parsed, const ParentForm& form) {
    const std::size_t bound = request_head_bound(parsed.exchange, "h.test", &form);
    std::string out(bound, '\0');
    char* end = write_request_head(parsed.exchange, "h.test", {}, out.data(), &form).end;
    out.resize(static_cast<std::size_t>(end - out.data()));
    EXPECT_LE(out.size(), bound);
    return out;
  };
  Parsed post("Host: h.test\r\nContent-Length: 3\r\nA: b\r\n", "POST /p?q HTTP/1.1");
  EXPECT_EQ(head(post, {"http://h.test:81", parent.login()}),
            "POST http://h.test:81/p?q HTTP/1.1\r\nHost: h.test\r\nContent-Length: 3\r\nA: b\r\n"
            "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n");
  Parsed framed("A: b\r\n", "PUT / HTTP/1.1");
  EXPECT_EQ(head(framed, {"http://h.test", parent.login()}),
            "PUT http://h.test/ HTTP/1.1\r\nHost: h.test\r\nA: b\r\nContent-Length: 0\r\n"
            "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n");
  Parsed options("", "OPTIONS * HTTP/1.1");
  EXPECT_EQ(head(options, {"http://h.test", nullptr}),
            "OPTIONS http://h.test HTTP/1.1\r\nHost: h.test\r\n\r\n");
}

struct FramingCase {
  const char* name;
  const char* method;
  const char* fields;
  UpstreamFraming framing;
  const char* after_host;  ///< what follows the Host line, up to the empty line
};

TEST(UpstreamHead, HasOneFraming) {
  using Kind = UpstreamFraming::Kind;
  const FramingCase rows[] = {
      {"GET without body", "GET", "A: b\r\n", {}, "A: b\r\n"},
      {"HEAD without body", "HEAD", "", {}, ""},
      {"DELETE without body", "DELETE", "", {}, ""},
      {"OPTIONS without body", "OPTIONS", "", {}, ""},
      {"PROPFIND without body", "PROPFIND", "", {}, ""},
      {"SEARCH without body", "SEARCH", "", {}, ""},
      {"POST without body", "POST", "A: b\r\n", {}, "A: b\r\nContent-Length: 0\r\n"},
      {"PUT without body", "PUT", "", {}, "Content-Length: 0\r\n"},
      {"TRACE without body", "TRACE", "", {}, "Content-Length: 0\r\n"},
      {"get without body", "get", "", {}, "Content-Length: 0\r\n"},
      {"unknown method without body", "BREW", "", {}, "Content-Length: 0\r\n"},
      {"GET with a length of zero", "GET", "Content-Length: 0\r\n", {}, "Content-Length: 0\r\n"},
      {"POST with a length of zero",
       "POST",
       "content-length: 0\r\nA: b\r\n",
       {},
       "content-length: 0\r\nA: b\r\n"},
      {"length as received",
       "POST",
       "Content-Length: 007\r\nA: b\r\n",
       {},
       "Content-Length: 007\r\nA: b\r\n"},
      {"chunked as received",
       "POST",
       "transfer-encoding: CHUNKED\r\nA: b\r\n",
       {},
       "transfer-encoding: CHUNKED\r\nA: b\r\n"},
      {"length changes in place",
       "POST",
       "Content-Length: 7\r\nA: b\r\n",
       {Kind::length, 12},
       "Content-Length: 12\r\nA: b\r\n"},
      {"a changed length keeps the spelling of its name",
       "POST",
       "content-LENGTH: 7\r\nA: b\r\n",
       {Kind::length, 12},
       "content-LENGTH: 12\r\nA: b\r\n"},
      {"chunked becomes a length in place",
       "POST",
       "Transfer-Encoding: chunked\r\nA: b\r\n",
       {Kind::length, 12},
       "Content-Length: 12\r\nA: b\r\n"},
      {"a length that had no field is appended",
       "POST",
       "A: b\r\n",
       {Kind::length, 12},
       "A: b\r\nContent-Length: 12\r\n"},
      {"a large length",
       "POST",
       "",
       {Kind::length, 18446744073709551615ULL},
       "Content-Length: 18446744073709551615\r\n"},
      {"length becomes chunked in place",
       "POST",
       "Content-Length: 7\r\nA: b\r\n",
       {Kind::chunked, 0},
       "Transfer-Encoding: chunked\r\nA: b\r\n"},
      {"chunked that had no field is appended",
       "POST",
       "A: b\r\n",
       {Kind::chunked, 0},
       "A: b\r\nTransfer-Encoding: chunked\r\n"},
      {"a second field of framing goes",
       "POST",
       "Content-Length: 7\r\nA: b\r\nContent-Length: 7\r\n",
       {Kind::length, 12},
       "Content-Length: 12\r\nA: b\r\n"},
      {"no framing", "GET", "Transfer-Encoding: chunked\r\nA: b\r\n", {Kind::none, 0}, "A: b\r\n"},
  };
  for (const FramingCase& row : rows) {
    Parsed parsed(std::string("Host: h\r\n") + row.fields, std::string(row.method) + " / HTTP/1.1");
    EXPECT_EQ(upstream_head(parsed, "h", row.framing),
              std::string(row.method) + " / HTTP/1.1\r\nHost: h\r\n" + row.after_host + "\r\n")
        << row.name;
  }
}

TEST(UpstreamHead, ReadsBackAsTheSameRequest) {
  Parsed parsed("Host: h\r\nA: b\tc\r\na: \xc3\xa9\r\nTransfer-Encoding: chunked\r\n",
                "PUT /x HTTP/1.1");
  const std::string head = upstream_head(parsed, "h");
  HeadParser parser(HeadParser::Kind::request);
  Request again;
  ASSERT_EQ(parser.parse(head, {}, again), HeadParser::Status::complete);
  EXPECT_EQ(lines_of(again.headers), lines_of(parsed.exchange.request.headers));
  EXPECT_EQ(again.method, "PUT");
  EXPECT_EQ(again.target, "/x");
}

/// Has the value of the field at `place` leave as `value`.
transforms::FieldRewrite& rewrite(Parsed& parsed, std::size_t place, const Secret& value) {
  Field& field = parsed.exchange.request.headers.all()[place];
  transforms::FieldRewrite& written = parsed.exchange.rewrite_of(field);
  written.kind = transforms::FieldRewrite::Kind::whole;
  written.parts.push_back({0, field.value.size(), &value});
  return written;
}

TEST(UpstreamHead, WhatIsRewrittenStaysInItsPlaceAndWithinTheBound) {
  const std::string much(5000, 'k');
  const Secret key = Secret::copy_of("THE-KEY"), large = Secret::copy_of(much);
  Parsed parsed("Host: h\r\nA: b\r\nX-Token: t\r\nC: d\r\nx-other: u\r\n");
  rewrite(parsed, 2, key).spelling = "x-TOKEN";
  rewrite(parsed, 4, large);
  EXPECT_EQ(upstream_head(parsed, "h"),
            "GET /p?q HTTP/1.1\r\nHost: h\r\nA: b\r\nx-TOKEN: THE-KEY\r\nC: d\r\nx-other: " + much +
                "\r\n\r\n");
}

TEST(UpstreamHead, TellsOfCredentialsThatWereWrittenInAndLogAConnectionIn) {
  struct Case {
    const char *field, *value;  ///< `value`: what is written; empty: what the client sent
    bool login;
  };
  const Case cases[] = {
      {"Authorization: x", "NTLM AAAA", true},    {"authorization: x", "negotiate AAAA", true},
      {"Authorization: x", "Bearer AAAA", false}, {"X-Token: x", "NTLM AAAA", false},
      {"Authorization: NTLM AAAA", "", false},  // HopByHop tells of these
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.field << ' ' << row.value);
    Parsed parsed(std::string("Host: h\r\n") + row.field + "\r\nA: b\r\n");
    const Secret value = Secret::copy_of(row.value);
    if (*row.value != '\0') rewrite(parsed, 1, value);
    std::string out(request_head_bound(parsed.exchange, "h"), '\0');
    EXPECT_EQ(write_request_head(parsed.exchange, "h", {}, out.data()).connection_login, row.login);
  }
}

// The head that goes to the client.

std::string client_head(std::string_view head, const ResponseHeadOptions& options) {
  HeadParser parser(HeadParser::Kind::response);
  Response response;
  EXPECT_EQ(parser.parse(head, {}, response), HeadParser::Status::complete) << head;
  std::string out;
  write_response_head(response, options, out);
  return out;
}

TEST(ClientHead, KeepsStatusReasonOrderAndCasing) {
  ResponseHeadOptions options;
  options.framing = ClientFraming::length;
  EXPECT_EQ(
      client_head("HTTP/1.1 599 Odd  \xc3\xa9\r\nx-b: 1\r\ndate: then\r\nCONTENT-length: 3\r\n"
                  "X-B: 2\r\n\r\n",
                  options),
      "HTTP/1.1 599 Odd  \xc3\xa9\r\nx-b: 1\r\ndate: then\r\nCONTENT-length: 3\r\nX-B: 2\r\n\r\n");
}

TEST(ClientHead, DateIsAppendedWhereItIsMissing) {
  ResponseHeadOptions options;
  options.framing = ClientFraming::length;
  const std::string out =
      client_head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: s\r\n\r\n", options);
  EXPECT_EQ(out.substr(0, 58), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: s\r\nDate: " +
                                   std::string(http_date().substr(0, 5)));
  EXPECT_EQ(out.substr(out.size() - 8), " GMT\r\n\r\n");
}

TEST(ClientHead, InterimAnswersGetNoDate) {
  EXPECT_EQ(client_head("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", {}),
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

TEST(ClientHead, ChunkedStaysInItsPlaceOrIsAppended) {
  ResponseHeadOptions options;
  options.framing = ClientFraming::chunked;
  EXPECT_EQ(client_head("HTTP/1.1 200 OK\r\nDate: d\r\ntransfer-ENCODING: Chunked\r\nA: b\r\n\r\n",
                        options),
            "HTTP/1.1 200 OK\r\nDate: d\r\ntransfer-ENCODING: Chunked\r\nA: b\r\n\r\n");
  EXPECT_EQ(client_head("HTTP/1.0 200 OK\r\nDate: d\r\nA: b\r\n\r\n", options),
            "HTTP/1.1 200 OK\r\nDate: d\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(ClientHead, AnOldClientGetsNoCoding) {
  ResponseHeadOptions options;
  options.client_minor = 0;
  options.framing = ClientFraming::close;
  EXPECT_EQ(
      client_head("HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n", options),
      "HTTP/1.0 200 OK\r\nDate: d\r\n\r\n");
}

TEST(ClientHead, ALengthThatDoesNotHoldIsDropped) {
  ResponseHeadOptions options;
  options.drop_length = true;
  EXPECT_EQ(client_head("HTTP/1.1 204 No Content\r\nDate: d\r\nContent-Length: 5\r\n\r\n", options),
            "HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n");
}

TEST(ClientHead, AFieldWhoseNameIsAsLongAsOneOfFramingStays) {
  ResponseHeadOptions options;
  options.drop_length = true;
  options.framing = ClientFraming::close;
  const std::string head =
      "HTTP/1.1 200 OK\r\nEtag: e\r\nX-Content-Kind: 1\r\nX-Content-Kind-A2: 2\r\nDate: "
      "d\r\n\r\n";
  EXPECT_EQ(client_head(head, options), head);
}

TEST(ClientHead, ConnectionComesLast) {
  ResponseHeadOptions options;
  options.framing = ClientFraming::length;
  const std::string_view head = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n";
  options.close = true;
  EXPECT_EQ(client_head(head, options),
            "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  options.close = false;
  options.client_minor = 0;
  options.keep_alive_10 = true;
  EXPECT_EQ(client_head(head, options),
            "HTTP/1.0 200 OK\r\nDate: d\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
}

TEST(ClientHead, AnUpgradeNamesItself) {
  ResponseHeadOptions options;
  options.upgrade = true;
  EXPECT_EQ(client_head("HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\n\r\n", options),
            "HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\n\r\n");
}

}  // namespace
}  // namespace iron::proxy
