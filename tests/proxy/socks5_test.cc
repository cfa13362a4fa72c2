#include "proxy/client/socks5.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/session_script.h"

namespace iron::proxy::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using Kind = Step::Kind;
using Greeting = SocksGreeting::State;
using State = SocksRequest::State;

TEST(SocksGreeting, IsAcceptedWhereNoAuthenticationIsOffered) {
  struct Row {
    std::string bytes;
    Greeting state;
    std::size_t consumed;
  };
  const Row rows[] = {
      {"\x05\x01\x00"s, Greeting::accepted, 3},
      {"\x05\x03\x02\x01\x00"s, Greeting::accepted, 5},
      {"\x05\x01\x00\x05\x01\x00\x01"s, Greeting::accepted, 3},  // the request comes along
      {"\x05\x01\x02"s, Greeting::no_method, 3},
      {"\x05\x01\x02\x00"s, Greeting::no_method, 3},  // the zero is not a method any more
      {"\x05\x00"s, Greeting::no_method, 2},
      {"\x05\xff"s + std::string(254, '\x01') + '\0', Greeting::accepted, 257},
      {"\x04\x01\x00"s, Greeting::malformed, 0},
      {"GET / HTTP/1.1\r\n", Greeting::malformed, 0},
  };
  for (const Row& row : rows) {
    const SocksGreeting greeting = parse_socks_greeting(row.bytes);
    EXPECT_EQ(greeting.state, row.state) << testing::PrintToString(row.bytes);
    if (row.state == Greeting::malformed) continue;
    EXPECT_EQ(greeting.consumed, row.consumed) << testing::PrintToString(row.bytes);
    for (std::size_t size = 0; size < row.consumed; ++size) {
      EXPECT_EQ(parse_socks_greeting(row.bytes.substr(0, size)).state, Greeting::incomplete)
          << testing::PrintToString(row.bytes) << " " << size;
    }
  }
}

struct RequestRow {
  const char* name;
  std::string bytes;
  std::string host;
  std::uint16_t port;
  bool is_ipv6 = false;
};

TEST(SocksRequest, NamesItsTarget) {
  const std::string v6_zeroes(10, '\0');
  const RequestRow rows[] = {
      {"name", "\x05\x01\x00\x03\x06h.test\x01\xbb"s, "h.test", 443},
      {"name with the reserved byte set", "\x05\x01\x7f\x03\x06h.test\x00\x50"s, "h.test", 80},
      {"longest name", "\x05\x01\x00\x03\xff"s + std::string(255, 'a') + "\xff\xff",
       std::string(255, 'a'), 65535},
      {"empty name", "\x05\x01\x00\x03\x00\x00\x50"s, "", 80},
      {"name with bytes that no name has", "\x05\x01\x00\x03\x03\x00/\xff\x00\x50"s, "\x00/\xff"s,
       80},
      {"IPv4", "\x05\x01\x00\x01\x0a\x00\x00\x01\x1f\x90"s, "10.0.0.1", 8080},
      {"IPv4 at port 0", "\x05\x01\x00\x01\xff\xff\xff\xff\x00\x00"s, "255.255.255.255", 0},
      {"IPv6", "\x05\x01\x00\x04\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01\x01\xbb",
       "2001:db8::1", 443, true},
      {"IPv6 loopback", "\x05\x01\x00\x04"s + std::string(15, '\0') + "\x01\x01\xbb"s, "::1", 443,
       true},
      {"IPv4-mapped IPv6", "\x05\x01\x00\x04"s + v6_zeroes + "\xff\xff\x7f\x00\x00\x01\x00\x50"s,
       "127.0.0.1", 80, false},
  };
  for (const RequestRow& row : rows) {
    const SocksRequest request = parse_socks_request(row.bytes + "payload");
    ASSERT_EQ(request.state, State::accepted) << row.name;
    EXPECT_EQ(request.host, row.host) << row.name;
    EXPECT_EQ(request.port, row.port) << row.name;
    EXPECT_EQ(request.is_ipv6, row.is_ipv6) << row.name;
    EXPECT_EQ(request.consumed, row.bytes.size()) << row.name;
    for (std::size_t size = 0; size < row.bytes.size(); ++size) {
      EXPECT_EQ(parse_socks_request(row.bytes.substr(0, size)).state, State::incomplete)
          << row.name << " " << size;
    }
  }
}

TEST(SocksRequest, RefusesTheRest) {
  EXPECT_EQ(parse_socks_request("\x04\x01\x00\x50"s).state, State::malformed);
  EXPECT_EQ(parse_socks_request("GET "s).state, State::malformed);
  for (const char command : {'\x00', '\x02', '\x03', '\xff'}) {
    EXPECT_EQ(parse_socks_request("\x05"s + command + "\x00\x01\x7f\x00\x00\x01\x00\x50"s).state,
              State::bad_command);
  }
  for (const char type : {'\x00', '\x02', '\x05', '\xff'}) {
    EXPECT_EQ(parse_socks_request("\x05\x01\x00"s + type + "\x7f\x00\x00\x01\x00\x50"s).state,
              State::bad_address_type);
  }
  // The command is judged first: both are wrong here.
  EXPECT_EQ(parse_socks_request("\x05\x02\x00\x09"s).state, State::bad_command);
}

TEST(SocksReply, IsTenBytes) {
  EXPECT_EQ(socks_reply(0), "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"s);
  EXPECT_EQ(socks_reply(7), "\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00"s);
}

Script socks(std::vector<Step> steps) {
  return {.steps = std::move(steps), .entry = Entry::tunnel};
}

const std::string kGreeting = "\x05\x01\x00"s;
const std::string kTarget = "\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50"s;
/// The address in a reply is the unspecified one.
const std::string kRest = "<00><01><00><00><00><00><00><00>";

const std::vector<Row> kSessions = {
    {"SOCKS5",
     {.steps = {client(std::string("\5\1\0", 3)),
                client(std::string("\5\1\0\1\x0a\0\0\1\0\x50", 10)), client(kGet), origin(kOk)},
      .entry = Entry::tunnel},
     {"client: <05><00><05><00><00><01><00><00><00><00><00><00>" + kOkRelayed,
      "origin: GET /a HTTP/1.1|Host: 10.0.0.1||", "record: allow 200 0/0", "record: allow 200 0/2",
      "session: open"}},
    {"all at once",
     socks({client(kGreeting + kTarget + kGet), origin(kOk)}),
     {"client: <05><00><05><00>" + kRest + kOkRelayed, "origin: GET /a HTTP/1.1|Host: 10.0.0.1||",
      "record: allow 200 0/0", "record: allow 200 0/2", "session: open"}},
    {"no method that we have",
     socks({client("\x05\x01\x02"s), happens(Kind::client_finishes)}),
     {"client: <05><ff>[end]", "origin: ", "session: gone"}},
    {"half a greeting, not yet",
     socks({client("\x05\x01"s), pass(9s)}),
     {"client: ", "origin: ", "session: open"}},
    {"half a greeting",
     socks({client("\x05\x01"s), pass(10s)}),
     {"client: [end]", "origin: ", "session: gone"}},
    {"half a greeting, and the end",
     socks({client("\x05\x01"s), happens(Kind::client_finishes)}),
     {"client: [end]", "origin: ", "session: gone"}},
    {"a request has a time of its own",
     socks({client("\x05\x01"s), pass(9s), client("\x00"s), pass(9s)}),
     {"client: <05><00>", "origin: ", "session: open"}},
    {"half a request",
     socks({client(kGreeting), client(kTarget.substr(0, 5)), pass(10s)}),
     {"client: <05><00>[end]", "origin: ", "session: gone"}},
    {"another version in the request",
     socks({client(kGreeting), client("\x04\x01\x00\x01"s)}),
     {"client: <05><00>[end]", "origin: ", "session: gone"}},
    {"a command that we do not have",
     socks({client(kGreeting), client("\x05\x02\x00\x01\x0a\x00\x00\x01\x00\x50"s),
            happens(Kind::client_finishes)}),
     {"client: <05><00><05><07>" + kRest + "[end]", "origin: ", "session: gone"}},
    {"an address of another kind",
     socks({client(kGreeting), client("\x05\x01\x00\x05\x00"s), happens(Kind::client_finishes)}),
     {"client: <05><00><05><08>" + kRest + "[end]", "origin: ", "session: gone"}},
    {"a target that policy refuses",
     socks({client(kGreeting), client("\x05\x01\x00\x01\x0a\x00\x00\x09\x00\x50"s),
            happens(Kind::client_finishes)}),
     {"client: <05><00><05><02>" + kRest + "[end]",
      "origin: ", "record: reject 403 0/0 by allowlist", "session: gone"}},
    {"a target without a port",
     socks({client(kGreeting), client("\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x00"s),
            happens(Kind::client_finishes)}),
     {"client: <05><00><05><02>" + kRest + "[end]",
      "origin: ", "record: reject 403 0/0 by allowlist", "session: gone"}},
    {"the drain",
     socks({client(kGreeting), happens(Kind::drain)}),
     {"client: <05><00>[end]", "origin: [end]", "session: gone"}},
};

TEST(Socks5, OpensATunnelOrSaysWhyNot) { expect_rows(kSessions); }

}  // namespace
}  // namespace iron::proxy::test
