#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using Kind = Step::Kind;

const std::string kToken = "rig-token-0123456789";
const std::string kKey = "real-key-0123456789abcdef";

/// Bodies are loaded whole, a token in them becomes a key; a key in an answer is dealt with as
/// `scrub` says.
Script swapping(std::vector<Step> steps,
                const std::string& scrub = "on",
                const std::string& host = "10.0.0.1") {
  Script script;
  script.steps = std::move(steps);
  script.variables = {{"RIG_KEY", kKey}};
  script.config.transforms.push_back(
      {"secrets",
       policy::parse_yaml("secrets:\n"
                          "- source: {type: env, var: RIG_KEY}\n"
                          "  replace: {proxy_value: rig-token-0123456789, match_headers: [X-T], "
                          "match_body: true}\n"
                          "  scrub_responses: " +
                          scrub +
                          "\n"
                          "  rules: [{host: " +
                          host + "}]\n")});
  return script;
}

Script within(std::int64_t limit, std::int64_t budget, std::vector<Step> steps) {
  Script script = swapping(std::move(steps));
  script.config.proxy.max_request_body_bytes = limit;
  script.config.proxy.limits.body_budget_bytes = budget;
  return script;
}

const std::vector<Row> kLoaded = {
    {"a token in a field",
     swapping({client("GET /a HTTP/1.1|" + kHost + "X-T: " + kToken + "||"), origin(kOk)}),
     {"client: HTTP/1.1 200 OK|Date: <D>|Transfer-Encoding: chunked||{ok}0||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|X-T: real-key-0123456789abcdef|Accept-Encoding: "
      "identity||",
      "record: allow 200 0/2", "session: open"}},
    {"a token in a body by length",
     swapping({client(kPut + "Content-Length: 22||<" + kToken + ">"), origin(kOk)}),
     {"client: HTTP/1.1 200 OK|Date: <D>|Transfer-Encoding: chunked||{ok}0||",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 27|Accept-Encoding: "
      "identity||<real-key-0123456789abcdef>",
      "record: allow 200 22/2", "session: open"}},
    {"a token in a body in chunks, cut by one",
     swapping({client(kPut + "Transfer-Encoding: chunked||5|<rig-|11|token-0123456789>|0||"),
               origin(kOk)}),
     {"client: HTTP/1.1 200 OK|Date: <D>|Transfer-Encoding: chunked||{ok}0||",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 27|Accept-Encoding: "
      "identity||<real-key-0123456789abcdef>",
      "record: allow 200 22/2", "session: open"}},
    {"nothing leaves before the body is here",
     swapping({client(kPut + "Content-Length: 2||a"), pass(59s)}),
     {"client: ", "origin: ", "session: open"}},
    {"stall_timeout: a body that is loaded",
     swapping({client(kPut + "Content-Length: 2||a"), pass(60s)}),
     {"client: [end]", "origin: ",
      "record: error 400 1/0: no byte from client for 1m0s (proxy.limits.stall_timeout)",
      "session: gone"}},
    {"gone within a body that is loaded",
     swapping({client(kPut + "Content-Length: 2||a"), happens(Kind::client_finishes)}),
     {"client: [end]", "origin: ", "record: client_cancel 200 1/0", "session: gone"}},
    {"an expectation is met before the body is loaded",
     swapping(
         {client(kPut + "Expect: 100-continue|Content-Length: 2||"), client("ab"), origin(kOk)}),
     {"client: HTTP/1.1 100 Continue||HTTP/1.1 200 OK|Date: <D>|Transfer-Encoding: "
      "chunked||{ok}0||",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Expect: 100-continue|Content-Length: "
      "2|Accept-Encoding: identity||ab",
      "record: allow 200 2/2", "session: open"}},
    {"a length beyond the limit",
     within(10, 1000, {client(kPut + "Content-Length: 11||a")}),
     {"client: HTTP/1.1 413 Request Entity Too Large|Content-Type: text/plain; "
      "charset=utf-8|Connection: close||413 Request Entity Too Large[end]",
      "origin: ", "record: error 413 0/0: request body exceeds max_request_body_bytes",
      "session: open"}},
    {"chunks beyond the limit",
     within(10, 1000, {client(kPut + "Transfer-Encoding: chunked||a|1234567890|"), client("1|1|")}),
     {"client: HTTP/1.1 413 Request Entity Too Large|Content-Type: text/plain; "
      "charset=utf-8|Connection: close||413 Request Entity Too Large[end]",
      "origin: ", "record: error 413 10/0: request body exceeds max_request_body_bytes",
      "session: open"}},
    {"chunks up to the limit",
     within(
         10,
         1000,
         {client(kPut + "Transfer-Encoding: chunked||a|1234567890|"), client("0||"), origin(kOk)}),
     {"client: HTTP/1.1 200 OK|Date: <D>|Transfer-Encoding: chunked||{ok}0||",
      "origin: PUT /a HTTP/1.1|Host: 10.0.0.1|Content-Length: 10|Accept-Encoding: "
      "identity||1234567890",
      "record: allow 200 10/2", "session: open"}},
    {"more than the budget of all",
     within(0, 1000, {client(kPut + "Content-Length: 17000||" + std::string(17000, 'x'))}),
     {"client: HTTP/1.1 503 Service Unavailable|Content-Type: text/plain; "
      "charset=utf-8|Connection: close||503 Service Unavailable[end]",
      "origin: ", "record: error 503 16326/0: body budget exhausted", "session: open"}},
    {"a second chunk that is none in a body that is loaded",
     swapping({client(kPut + "Transfer-Encoding: chunked||1|a|x|")}),
     {"client: " + kBadRequest + "[end]",
      "origin: ", "record: reject 400 1/0 by protocol: malformed request", "session: open"}},
    {"a drain while the body comes",
     swapping(
         {client(kPut + "Content-Length: 2||a"), happens(Kind::drain), client("b"), origin(kOk)}),
     {"client: HTTP/1.1 502 Bad Gateway|Content-Type: text/plain; "
      "charset=utf-8|X-Content-Type-Options: nosniff|Date: <D>|Content-Length: 12|Connection: "
      "close||bad gateway<0a>[end]",
      "origin: [end]",
      "record: error 502 2/0: dial tcp 10.0.0.1:80: denied by upstream_deny_cidrs: 10.0.0.1 in "
      "10.0.0.0/8",
      "session: open"}},
    {"a cut while the body comes",
     swapping({client(kPut + "Content-Length: 2||a"), happens(Kind::cut)}),
     {"client: [end]", "origin: ", "record: client_cancel 200 1/0", "session: gone"}},
    {"a key in an answer",
     swapping({client(kGet),
               origin("HTTP/1.1 200 OK|X-E: " + kKey + "|Content-Length: 27||<" + kKey + ">")}),
     {"client: HTTP/1.1 200 OK|X-E: rig-token-0123456789|Date: <D>|Transfer-Encoding: "
      "chunked||{<rig-token-0123456789>}0||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|Accept-Encoding: identity||",
      "record: allow 200 0/22", "session: open"}},
    {"a key in an answer in two pieces",
     swapping({client(kGet), origin("HTTP/1.1 200 OK|Content-Length: 27||<real-key-01234"),
               pass(1s), origin("56789abcdef>")}),
     {"client: HTTP/1.1 200 OK|Date: <D>|Transfer-Encoding: chunked||{<rig-token-0123456789>}0||",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|Accept-Encoding: identity||",
      "record: allow 200 0/22", "session: open"}},
    {"block: a key in an answer",
     swapping({client(kGet), origin("HTTP/1.1 200 OK|Content-Length: 27||<" + kKey + ">")},
              "block"),
     {"client: " + kBadGateway,
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|Accept-Encoding: identity||[end]",
      "record: error 502 0/0: answer held a secret value", "session: open"}},
    {"block: an answer is withheld at first",
     swapping({client(kGet), origin("HTTP/1.1 200 OK|Content-Length: 27||<"), pass(4ms)}, "block"),
     {"client: ", "origin: GET /a HTTP/1.1|Host: 10.0.0.1|Accept-Encoding: identity||",
      "session: open"}},
    {"block: for five milliseconds",
     swapping({client(kGet), origin("HTTP/1.1 200 OK|Content-Length: 27||<"), pass(10ms)}, "block"),
     {"client: HTTP/1.1 200 OK|Content-Length: 27|Date: <D>||<",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|Accept-Encoding: identity||", "session: open"}},
    {"block: a key in an answer that has begun",
     swapping({client(kGet), origin("HTTP/1.1 200 OK|Content-Length: 27||<"), pass(10ms),
               origin(kKey + ">")},
              "block"),
     {"client: HTTP/1.1 200 OK|Content-Length: 27|Date: <D>||<[end]",
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1|Accept-Encoding: identity||[end]",
      "record: error 200 0/1: answer held a secret value", "session: gone"}},
    {"TRACE would show the key",
     swapping({client("TRACE /a HTTP/1.1|" + kHost + "X-T: " + kToken + "||")}),
     {"client: HTTP/1.1 405 Method Not Allowed|Content-Type: text/plain; "
      "charset=utf-8|X-Content-Type-Options: nosniff|Date: <D>|Content-Length: 19||method not "
      "allowed<0a>",
      "origin: ", "record: reject 405 0/0 by scrub_responses", "session: open"}},
};

TEST(SessionSecrets, BodiesAreLoadedAndAnswersFiltered) { expect_rows(kLoaded); }

TEST(SessionSecrets, AKeyInTheHeadOfASwitchOfProtocolsIsDealtWithToo) {
  // The key of the handshake and its answer are those of RFC 6455 section 1.3.
  const std::string fields = "|Connection: Upgrade|Upgrade: websocket|";
  const std::string accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=|";
  Script script = swapping(
      {client("GET /a HTTP/1.1|Host: 127.0.0.1:<P>" + fields +
              "Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||"),
       origin("HTTP/1.1 101 Switching Protocols" + fields + accept + "X-E: " + kKey + "||")},
      "on", "127.0.0.1");
  script.dials = true;
  EXPECT_EQ(lines_of(run(script)).at(0),
            "client: HTTP/1.1 101 Switching Protocols" + fields + accept + "X-E: " + kToken + "||");
}

}  // namespace
}  // namespace iron::proxy::test
