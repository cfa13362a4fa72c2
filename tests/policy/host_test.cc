#include "policy/match/host.h"

#include <gtest/gtest.h>

namespace iron::policy {
namespace {

struct Accepted {
  const char* text;
  const char* host;
  int port;  // 0: none
  bool literal;
};

TEST(Authority, Accepts) {
  const Accepted cases[] = {
      {"", "", 0, false},
      {"up.test", "up.test", 0, false},
      {"UP.Test.:80", "up.test", 80, false},
      {"up.test:", "up.test", 0, false},
      {"up.test:1", "up.test", 1, false},
      {"up.test:65535", "up.test", 65535, false},
      {"_dmarc.a-b.test", "_dmarc.a-b.test", 0, false},
      {"localhost", "localhost", 0, false},
      {"127.0.0.1", "127.0.0.1", 0, true},
      {"127.0.0.1:8080", "127.0.0.1", 8080, true},
      {"127.0.0.1.", "127.0.0.1", 0, true},
      {"[::1]", "::1", 0, true},
      {"[::1]:443", "::1", 443, true},
      {"[::1]:", "::1", 0, true},
      {"[2001:DB8::A]:1", "2001:db8::a", 1, true},
      {"[::ffff:127.0.0.1]:9", "::ffff:127.0.0.1", 9, true},
      // Names, not addresses: nothing but the strict forms is one.
      {"2130706433", "2130706433", 0, false},
      {"0x7f.1", "0x7f.1", 0, false},
      {"127.1", "127.1", 0, false},
      {"0177.0.0.1", "0177.0.0.1", 0, false},
      {"a..b", "a..b", 0, false},
  };
  for (const auto& row : cases) {
    const auto authority = Authority::parse(row.text);
    EXPECT_TRUE(Authority::acceptable(row.text)) << row.text;
    ASSERT_TRUE(authority) << row.text;
    EXPECT_EQ(authority->host, row.host) << row.text;
    EXPECT_EQ(authority->port.value_or(0), row.port) << row.text;
    EXPECT_EQ(authority->literal.has_value(), row.literal) << row.text;
  }
}

TEST(Authority, MappedLiteralIsTheIpv4Address) {
  EXPECT_EQ(Authority::parse("[::ffff:127.0.0.1]")->literal, IpAddress::v4({127, 0, 0, 1}));
}

TEST(Authority, Refuses) {
  const char* cases[] = {
      "evil:80/.wild",
      "evil#.wild",
      "evil%2f.wild",
      "x.wild@evil",
      "[::1]:80.wild",
      "evil:80:x.wild",
      "a.test,b.test",
      "a.test b.test",
      "a.test\t",
      " a.test",
      "a\\b",
      "a\xe3\x80\x82test",
      "a\xc2\xadtest",
      "a.test..",
      "127.0.0.1..",
      "a/b",
      "a?b",
      "http://a",
      "a:0",
      "a:65536",
      "a:99999",
      "a:000080",
      "a:-1",
      "a:+1",
      "a:8a",
      "a:http",
      "a: 80",
      ":80",
      ":",
      ".",
      "..",
      ".:80",
      "::1",
      "[::1",
      "[::1]x",
      "[]",
      "[1.2.3.4]",
      "[fe80::1%25lo]",
      "[fe80::1%lo]",
      "[up.test]",
      "[::1]]",
      "[[::1]]",
      "*.test",
      "a~b",
      "a\x7f",
      "user:pw@host",
      "[::1]:0",
  };
  for (const char* text : cases) {
    EXPECT_FALSE(Authority::parse(text)) << text;
    EXPECT_FALSE(Authority::acceptable(text)) << text;
  }
}

TEST(Authority, EveryByteIsJudgedAlike) {
  for (const std::string frame : {"a?b", "?", "a.test:8?", "[::?]", "a?:80", "?:", ".?."}) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = frame;
      text[frame.find('?')] = static_cast<char>(byte);
      EXPECT_EQ(Authority::acceptable(text), Authority::parse(text).has_value()) << frame << byte;
    }
  }
}

TEST(Authority, RefusesNul) { EXPECT_FALSE(Authority::parse(std::string_view("evil\0.wild", 10))); }

TEST(FoldHost, LowersAsciiAndDropsOneDot) {
  EXPECT_EQ(fold_host("A.Example.COM."), "a.example.com");
  EXPECT_EQ(fold_host("a.."), "a.");
  EXPECT_EQ(fold_host(""), "");
  EXPECT_EQ(fold_host("."), "");
  EXPECT_EQ(fold_host("\xc3\x84"), "\xc3\x84");
  EXPECT_EQ(fold_host("@[`{"), "@[`{");
}

}  // namespace
}  // namespace iron::policy
