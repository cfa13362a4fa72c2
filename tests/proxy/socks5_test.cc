#include "proxy/client/socks5.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::proxy {
namespace {

using namespace std::string_literals;
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

}  // namespace
}  // namespace iron::proxy
