#include "policy/config/listen_address.h"

#include <gtest/gtest.h>

namespace iron::policy {
namespace {

TEST(ListenAddress, CutsHostAndPort) {
  const struct {
    const char *text, *host, *port;
  } cases[] = {
      {":80", "", "80"},
      {"127.0.0.1:", "127.0.0.1", ""},
      {"127.0.0.1:0", "127.0.0.1", "0"},
      {"localhost:http", "localhost", "http"},
      {"[::1]:80", "::1", "80"},
      {"[fe80::1%lo]:80", "fe80::1%lo", "80"},
      {"[]:80", "", "80"},
  };
  for (const auto& row : cases) {
    const auto parts = split_host_port(row.text);
    ASSERT_TRUE(parts) << row.text;
    EXPECT_EQ(parts->host, row.host) << row.text;
    EXPECT_EQ(parts->port, row.port) << row.text;
  }
}

TEST(ListenAddress, NamesTheFault) {
  const struct {
    const char *text, *fault;
  } cases[] = {
      {"", "listen tcp: missing port in address"},
      {"127.0.0.1", "listen tcp: address 127.0.0.1: missing port in address"},
      {"[::1]", "listen tcp: address [::1]: missing port in address"},
      {"[::1]x:80", "listen tcp: address [::1]x:80: missing port in address"},
      {"::1:80", "listen tcp: address ::1:80: too many colons in address"},
      {"[::1]:1:2", "listen tcp: address [::1]:1:2: too many colons in address"},
      {"[::1:80", "listen tcp: address [::1:80: missing ']' in address"},
      {"a[:80", "listen tcp: address a[:80: unexpected '[' in address"},
      {"a]:80", "listen tcp: address a]:80: unexpected ']' in address"},
      {"[[::1]:80", "listen tcp: address [[::1]:80: unexpected '[' in address"},
      {":99999", "listen tcp: address 99999: invalid port"},
      {":-1", "listen tcp: address -1: invalid port"},
      {":99999999999999999999", "listen tcp: address 99999999999999999999: invalid port"},
      {":no-such-service", "listen tcp: lookup tcp/no-such-service: unknown port"},
      {"127.1:80", "listen tcp: lookup 127.1: no such host"},
      {"2130706433:80", "listen tcp: lookup 2130706433: no such host"},
      {"0x7f000001:80", "listen tcp: lookup 0x7f000001: no such host"},
      {"[::1%nope]:80", "listen tcp: lookup ::1%nope: no such host"},
  };
  for (const auto& row : cases) {
    const auto address = resolve_listen_address(row.text, Transport::tcp);
    ASSERT_FALSE(address) << row.text;
    EXPECT_EQ(address.error().text, row.fault);
  }
}

TEST(ListenAddress, UnspecifiedHostsMeanAllAddresses) {
  const struct {
    const char *text, *shown;
  } cases[] = {{":8080", ":8080"}, {"0.0.0.0:8080", "0.0.0.0:8080"}, {"[::]:8080", "[::]:8080"}};
  for (const auto& row : cases) {
    const auto address = resolve_listen_address(row.text, Transport::tcp);
    ASSERT_TRUE(address) << row.text;
    EXPECT_FALSE(address->address) << row.text;
    EXPECT_EQ(address->port, 8080);
    EXPECT_EQ(address->text, row.shown);
  }
}

TEST(ListenAddress, ResolvesLiteralsNamesAndServices) {
  const struct {
    const char *text, *shown;
  } cases[] = {
      {"127.0.0.1:0", "127.0.0.1:0"},
      {"127.0.0.1:", "127.0.0.1:0"},
      {"127.0.0.1:+080", "127.0.0.1:80"},
      {"[::1]:80", "[::1]:80"},
      {"[::ffff:127.0.0.1]:80", "127.0.0.1:80"},
      {"localhost:8080", "127.0.0.1:8080"},
  };
  for (const auto& row : cases) {
    const auto address = resolve_listen_address(row.text, Transport::tcp);
    ASSERT_TRUE(address) << row.text << ": " << address.error().text;
    ASSERT_TRUE(address->address) << row.text;
    EXPECT_EQ(address->address->text_with_port(address->port), row.shown);
    EXPECT_EQ(address->text, row.shown);
  }
}

TEST(ListenAddress, PrefixNamesTheTransport) {
  const auto address = resolve_listen_address("127.0.0.1", Transport::udp);
  ASSERT_FALSE(address);
  EXPECT_EQ(address.error().text, "listen udp: address 127.0.0.1: missing port in address");
}

}  // namespace
}  // namespace iron::policy
