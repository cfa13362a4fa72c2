#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Kind = Step::Kind;

Script sent(const std::string& bytes) { return {.steps = {client(bytes)}}; }
Script answered(const std::string& bytes) { return {.steps = {client(kGet), origin(bytes)}}; }
Script answered_then(const std::string& bytes, Kind what) {
  return {.steps = {client(kGet), origin(bytes), happens(what)}};
}

/// Clients that break the rules, or off.
const std::vector<Row> kClients = {
    {"no request",
     sent("nonsense||"),
     {"client: " + kBadRequest + "[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed request", "session: open"}},
    {"no host",
     sent("GET /a HTTP/1.1||"),
     {"client: " + kMissingHost + "[end]",
      "origin: ", "record: reject 400 0/0 by protocol: missing Host header", "session: open"}},
    {"a host that is none",
     sent("GET /a HTTP/1.1|Host: a b||"),
     {"client: HTTP/1.1 400 Bad Request: malformed Host header|Content-Type: text/plain; "
      "charset=utf-8|Connection: close||400 Bad Request: malformed Host header[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed Host header", "session: open"}},
    {"a name that is none",
     sent("GET /a HTTP/1.1|" + kHost + "X y: 1||"),
     {"client: HTTP/1.1 400 Bad Request: invalid header name|Content-Type: text/plain; "
      "charset=utf-8|Connection: close||400 Bad Request: invalid header name[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed request", "session: open"}},
    {"another version",
     sent("GET /a HTTP/2.0|" + kHost + "|"),
     {"client: HTTP/1.1 505 HTTP Version Not Supported: unsupported protocol version|Content-Type: "
      "text/plain; charset=utf-8|Connection: close||505 HTTP Version Not Supported: unsupported "
      "protocol version[end]",
      "origin: ", "record: reject 505 0/0 by protocol: unsupported protocol version",
      "session: open"}},
    {"the preface of HTTP/2",
     sent("PRI * HTTP/2.0||SM||"),
     {"client: HTTP/1.1 400 Bad Request|Content-Type: text/plain; "
      "charset=utf-8|X-Content-Type-Options: nosniff|Date: <D>|Content-Length: 20|Connection: "
      "close||missing Host header<0a>[end]",
      "origin: ",
      "record: reject 400 0/0 by protocol: unsupported protocol version: HTTP/2 preface",
      "session: open"}},
    {"another coding",
     sent(kPut + "Transfer-Encoding: gzip||"),
     {"client: HTTP/1.1 501 Not Implemented|Content-Type: text/plain; charset=utf-8|Connection: "
      "close||Unsupported transfer encoding[end]",
      "origin: ", "record: reject 501 0/0 by protocol: unsupported transfer encoding",
      "session: open"}},
    {"another expectation",
     sent(kPut + "Expect: more|Content-Length: 1||"),
     {"client: HTTP/1.1 417 Expectation Failed|Connection: close|Date: <D>|Content-Length: "
      "0||[end]",
      "origin: ", "record: reject 417 0/0 by protocol: expectation failed", "session: open"}},
    {"two lengths",
     sent(kPut + "Content-Length: 1|Content-Length: 2||ab"),
     {"client: " + kBadRequest + "[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed request", "session: open"}},
    {"a length and chunks",
     sent(kPut + "Content-Length: 1|Transfer-Encoding: chunked||0||"),
     {"client: " + kBadRequest + "[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed request", "session: open"}},
    {"a head without an end",
     {.steps = {client("GET /a HTTP/1.1|X: " + std::string(1100000, 'x'))}, .link = Link::tcp},
     {"client: HTTP/1.1 431 Request Header Fields Too Large|Content-Type: text/plain; "
      "charset=utf-8|Connection: close||431 Request Header Fields Too Large[end]",
      "origin: ", "record: reject 431 0/0 by protocol: request head too large", "session: open"}},
    {"a first chunk that is none",
     sent(kPut + "Transfer-Encoding: chunked||x|"),
     {"client: " + kBadRequest + "[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed request", "session: open"}},
    {"a second chunk that is none",
     {.steps = {client(kPut + "Transfer-Encoding: chunked||1|a|"), client("x|")}},
     {"client: " + kBadRequest + "[end]",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Transfer-Encoding: chunked||{a}[end]",
      "record: reject 400 1/0 by protocol: malformed request", "session: open"}},
    {"a second chunk that is none, when the answer has begun",
     {.steps = {client(kPut + "Transfer-Encoding: chunked||1|a|"),
                origin("HTTP/1.1 200 OK|Content-Length: 2||o"), client("x|"), origin("k")}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>||o[end]",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Transfer-Encoding: chunked||{a}[end]",
      "record: allow 200 1/1: malformed request", "session: gone"}},
    {"a good request and a bad one",
     {.steps = {client(kGet + "x||"), origin(kOk)}},
     {"client: " + kOkRelayed + kBadRequest + "[end]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "record: reject 400 0/0 by protocol: malformed request",
      "session: open"}},
    {"the end before a request",
     {.steps = {happens(Kind::client_finishes)}},
     {"client: [end]", "origin: ", "session: gone"}},
    {"the end within a head",
     {.steps = {client("GET /a HTTP/1.1|Ho"), happens(Kind::client_finishes)}},
     {"client: " + kBadRequest + "[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed request", "session: gone"}},
    {"the end within a body",
     {.steps = {client(kPut + "Content-Length: 9||ab"), happens(Kind::client_finishes)}},
     {"client: [end]", "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 9||ab[end]",
      "record: client_cancel 200 2/0", "session: gone"}},
    {"gone within a body",
     {.steps = {client(kPut + "Content-Length: 9||ab"), happens(Kind::client_closes)}},
     {"client: ", "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 9||ab[end]",
      "record: client_cancel 200 2/0", "session: gone"}},
    {"gone before the answer",
     {.steps = {client(kGet), happens(Kind::client_closes), pass(5s)}, .link = Link::tcp},
     {"client: ", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[reset]",
      "record: client_cancel 200 0/0", "session: gone"}},
    {"reset before the answer",
     {.steps = {client(kGet), happens(Kind::client_resets)}, .link = Link::tcp},
     {"client: ", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[reset]",
      "record: client_cancel 200 0/0", "session: gone"}},
    {"reset within the answer",
     {.steps = {client(kGet), origin("HTTP/1.1 200 OK|Content-Length: 2||o"),
                happens(Kind::client_resets)},
      .link = Link::tcp},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>||o",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]", "record: allow 200 0/1", "session: gone"}},
    {"its side ended behind the request",
     {.steps = {client(kGet), happens(Kind::client_finishes), origin(kOk)}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>|Connection: close||ok[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: gone"}},
    {"its side ended behind two requests",
     {.steps = {client(kGet + kGet), happens(Kind::client_finishes), origin(kOk), origin(kOk)}},
     {"client: HTTP/1.1 200 OK|Content-Length: 2|Date: <D>|Connection: close||ok[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: gone"}},
};

/// Origins that break the rules, or off.
const std::vector<Row> kOrigins = {
    {"no answer but an end",
     answered_then("", Kind::origin_finishes),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in "
      "10.0.0.0/8",
      "session: open"}},
    {"an end within the head",
     answered_then("HTTP/1.1 200 O", Kind::origin_finishes),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: unexpected EOF", "session: open"}},
    {"no answer",
     answered("nonsense||"),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: net/http: HTTP/1.x transport connection broken: malformed HTTP "
      "response \"nonsense\"",
      "session: open"}},
    {"a name that is none in an answer",
     answered("HTTP/1.1 200 OK|X y: 1||"),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: net/http: HTTP/1.x transport connection broken: malformed MIME "
      "header line",
      "session: open"}},
    {"two lengths in an answer",
     answered("HTTP/1.1 200 OK|Content-Length: 1|Content-Length: 2||ab"),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: net/http: HTTP/1.x transport connection broken: http: message cannot "
      "contain multiple Content-Length headers; got [\"1\" \"2\"]",
      "session: open"}},
    {"a length and chunks in an answer",
     answered("HTTP/1.1 200 OK|Content-Length: 1|Transfer-Encoding: chunked||0||"),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: net/http: HTTP/1.x transport connection broken: more than one body "
      "framing",
      "session: open"}},
    {"another coding in an answer",
     answered("HTTP/1.1 200 OK|Transfer-Encoding: gzip||"),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: net/http: HTTP/1.x transport connection broken: unsupported transfer "
      "encoding: \"gzip\"",
      "session: open"}},
    {"another protocol",
     answered("HTTP/1.1 101 Switching Protocols|Upgrade: x||"),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: unexpected 101 Switching Protocols", "session: open"}},
    {"many interim answers",
     answered([] {
       std::string many;
       for (int i = 0; i < 17; ++i) many += "HTTP/1.1 102 Wait||";
       return many;
     }()),
     {"client: HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 "
      "Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 "
      "102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 "
      "Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||HTTP/1.1 102 Wait||" +
          kBadGateway,
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: too many interim responses", "session: open"}},
    {"a body that is too short",
     answered_then("HTTP/1.1 200 OK|Content-Length: 9||ab", Kind::origin_finishes),
     {"client: HTTP/1.1 200 OK|Content-Length: 9|Date: <D>||ab[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]", "record: allow 200 0/2", "session: gone"}},
    {"too short for an old client",
     {.steps = {client("GET /a HTTP/1.0|" + kHost + "|"),
                origin("HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ab|"),
                happens(Kind::origin_finishes)},
      .link = Link::tcp},
     {"client: HTTP/1.0 200 OK|Date: <D>||ab[reset]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]", "record: allow 200 0/2", "session: gone"}},
    {"chunks without an end",
     answered_then("HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ab|", Kind::origin_finishes),
     {"client: HTTP/1.1 200 OK|Transfer-Encoding: chunked|Date: <D>||{ab}[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]", "record: allow 200 0/2", "session: gone"}},
    {"a first chunk that is none in an answer",
     answered("HTTP/1.1 200 OK|Transfer-Encoding: chunked||x|"),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: error 502 0/0: invalid byte in chunk length", "session: open"}},
    {"a second chunk that is none in an answer",
     {.steps = {client(kGet), origin("HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ab|"),
                origin("x|")}},
     {"client: HTTP/1.1 200 OK|Transfer-Encoding: chunked|Date: <D>||{ab}[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]", "record: allow 200 0/2", "session: gone"}},
    {"a reset before the answer",
     {.steps = {client(kPut + "Content-Length: 2||ab"), happens(Kind::origin_resets)},
      .link = Link::tcp},
     {"client: " + kBadGateway, "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 2||ab",
      "record: error 502 2/0: read tcp 127.0.0.1:<P>->10.0.0.1:80: read: connection reset by peer",
      "session: open"}},
    {"gone while a piece of the body waits where it came",
     {.steps = {client(kPut + "Content-Length: 20000||" + std::string(4000, 'x')),
                happens(Kind::origin_stops_reading),
                client(std::string(16000, 'x') + "HEAD /a HTTP/1.1|" + kHost + "|"),
                happens(Kind::origin_finishes)},
      .origin_room = 1},
     // A method with a rest of the body before it would be no HEAD.
     {"client: " + kBadGateway + kBadGateway.substr(0, kBadGateway.find("bad gateway")),
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 20000||x...",
      "record: error 502 20000/0: EOF",
      "record: error 502 0/0: dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in "
      "10.0.0.0/8",
      "session: open"}},
    {"an answer that is refused while a piece of the body waits where it came",
     {.steps = {client(kPut + "Content-Length: 20000||" + std::string(4000, 'x')),
                happens(Kind::origin_stops_reading),
                client(std::string(16000, 'x') + "HEAD /a HTTP/1.1|" + kHost + "|"),
                origin("HTTP/1.1 200 OK|Content-Length: 1|Transfer-Encoding: chunked||0||")},
      .origin_room = 1},
     {"client: " + kBadGateway + kBadGateway.substr(0, kBadGateway.find("bad gateway")),
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 20000||x...",
      "record: error 502 20000/0: net/http: HTTP/1.x transport connection broken: more than one "
      "body framing",
      "record: error 502 0/0: dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in "
      "10.0.0.0/8",
      "session: open"}},
    {"a reset within the answer",
     {.steps = {client(kGet), origin("HTTP/1.1 200 OK|Content-Length: 9||ab"),
                happens(Kind::origin_resets)},
      .link = Link::tcp},
     {"client: HTTP/1.1 200 OK|Content-Length: 9|Date: <D>||ab[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/2", "session: gone"}},
    {"more than was asked for",
     answered(kOk + "more"),
     {"client: " + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||[end]",
      "record: allow 200 0/2", "session: open"}},
    {"an answer before the request",
     {.steps = {origin(kOk), client(kGet), origin(kOk, 1)}, .origins = 2},
     {"client: " + kOkRelayed, "origin: [reset]", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "session: open"}},
};

/// What lay in the pool may be dead. The next connection would have to be dialled, which fails
/// here.
const std::vector<Row> kReused = {
    {"ended while it idled: not lent",
     {.steps = {happens(Kind::origin_closes), client(kGet), origin(kOk, 1)}, .origins = 2},
     {"client: " + kOkRelayed, "origin: ", "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/2", "session: open"}},
    {"dead without an answer: dialled",
     answered_then("", Kind::origin_closes),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: error 502 0/0: dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in "
      "10.0.0.0/8",
      "session: open"}},
    {"not behind the first byte of one",
     answered_then("H", Kind::origin_closes),
     {"client: " + kBadGateway, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: error 502 0/0: unexpected EOF", "session: open"}},
    {"not for a request with a body",
     {.steps = {client(kPut + "Content-Length: 2||ab"), happens(Kind::origin_closes)}},
     {"client: " + kBadGateway, "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 2||ab",
      "record: error 502 2/0: EOF", "session: open"}},
    {"not for a method that changes things",
     {.steps = {client("POST /a HTTP/1.1|" + kHost + "|"), happens(Kind::origin_closes)}},
     {"client: " + kBadGateway, "origin: POST /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 0||",
      "record: error 502 0/0: EOF", "session: open"}},
};

/// Tunnels that are refused.
const std::vector<Row> kTunnels = {
    {"a tunnel that is refused",
     {.steps = {client("CONNECT 10.0.0.9:80 HTTP/1.1|Host: 10.0.0.9:80||")},
      .entry = Entry::tunnel},
     {"client: HTTP/1.1 403 Forbidden|Content-Type: text/plain|Content-Length: 0||[end]",
      "origin: ", "record: reject 403 0/0 by allowlist", "session: open"}},
    {"a target that is none",
     {.steps = {client("CONNECT 10.0.0.1: HTTP/1.1|Host: 10.0.0.1:80||")}, .entry = Entry::tunnel},
     {"client: " + kBadRequest + "[end]",
      "origin: ", "record: reject 400 0/0 by protocol: malformed request", "session: open"}},
};

TEST(SessionFaults, OfClients) { expect_rows(kClients); }

TEST(SessionFaults, OfOrigins) { expect_rows(kOrigins); }

TEST(SessionFaults, OfConnectionsThatWereUsedBefore) { expect_rows(kReused); }

TEST(SessionFaults, OfTunnels) { expect_rows(kTunnels); }

}  // namespace
}  // namespace iron::proxy::test
