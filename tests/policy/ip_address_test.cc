#include "policy/match/ip_address.h"

#include <gtest/gtest.h>

namespace iron::policy {
namespace {

struct Spelling {
  const char* text;
  const char* shown;
};

TEST(IpAddress, ReadsStrictTextAndWritesRfc5952) {
  const Spelling cases[] = {
      {"127.0.0.1", "127.0.0.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8::0:1", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:0:0:1:1:0:0:1", "2001::1:1:0:0:1"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"fe80::0204:61ff:fe9d:f156", "fe80::204:61ff:fe9d:f156"},
      {"::ffff:127.0.0.1", "127.0.0.1"},
      {"::FFFF:7f00:1", "127.0.0.1"},
      {"0:0:0:0:0:ffff:1.2.3.4", "1.2.3.4"},
      {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
      {"::1.2.3.4", "::102:304"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& row : cases) {
    const auto address = IpAddress::parse(row.text);
    ASSERT_TRUE(address) << row.text;
    EXPECT_EQ(address->text(), row.shown);
  }
}

TEST(IpAddress, RefusesEverythingElse) {
  const char* cases[] = {
      "",
      "1",
      "1.2.3",
      "1.2.3.4.5",
      "01.2.3.4",
      "1.2.3.04",
      "1.2.3.256",
      "1.2.3.",
      ".1.2.3",
      "1..2.3",
      "1.2.3.4 ",
      " 1.2.3.4",
      "+1.2.3.4",
      "0x7f.0.0.1",
      "2130706433",
      "127.1",
      "017700000001",
      "a.b.c.d",
      "[::1]",
      "::1%lo",
      ":",
      ":::",
      "1::2::3",
      "12345::",
      "1:2:3",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7:8::",
      "::1.2.3",
      "1.2.3.4::",
      "::1.2.3.4:5",
      "1:2:3:4:5:6:7:1.2.3.4",
      "g::",
      "1:",
      ":1",
      "::1/128",
      "::ffff:1.2.3.4.5",
      "::01.2.3.4",
  };
  for (const char* text : cases) EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(IpAddress, RefusesNulInside) {
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
}

TEST(IpAddress, ReducesMappedFormWhenBuilt) {
  const auto built = IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3});
  EXPECT_TRUE(built.is_v4());
  EXPECT_EQ(built, IpAddress::v4({10, 1, 2, 3}));
}

TEST(IpAddress, PortNeedsBracketsOnlyForIpv6) {
  EXPECT_EQ(IpAddress::parse("127.0.0.1")->text_with_port(80), "127.0.0.1:80");
  EXPECT_EQ(IpAddress::parse("::1")->text_with_port(443), "[::1]:443");
}

TEST(IpAddress, FamiliesDiffer) {
  EXPECT_NE(*IpAddress::parse("0.0.0.1"), *IpAddress::parse("1::"));
  EXPECT_NE(IpAddress::v4({0, 0, 0, 0}), IpAddress::v6({}));
}

TEST(AddressText, ExplainsFaults) {
  const Spelling cases[] = {
      {"x", R"(ParseAddr("x"): unable to parse IP)"},
      {"1.2.3", R"(ParseAddr("1.2.3"): IPv4 address too short)"},
      {"1.2.3.4.5", R"(ParseAddr("1.2.3.4.5"): IPv4 address too long)"},
      {"01.2.3.4", R"(ParseAddr("01.2.3.4"): IPv4 field has octet with leading zero)"},
      {"1.2.3.256", R"(ParseAddr("1.2.3.256"): IPv4 field has value >255)"},
      {"1..2.3", R"(ParseAddr("1..2.3"): IPv4 field must have at least one digit (at ".2.3"))"},
      {"1.2.3.x", R"(ParseAddr("1.2.3.x"): unexpected character (at "x"))"},
      {"12345::", R"(ParseAddr("12345::"): each group must have 4 or less digits (at "12345::"))"},
      {"1:2", R"(ParseAddr("1:2"): address string too short)"},
      {"1::2::3", R"(ParseAddr("1::2::3"): multiple :: in address (at ":3"))"},
      {"fe80::1%eth0", "IPv6 zones cannot be present in a prefix"},
  };
  for (const auto& row : cases) {
    std::string why;
    EXPECT_FALSE(parse_address_text(row.text, &why));
    EXPECT_EQ(why, row.shown);
  }
}

}  // namespace
}  // namespace iron::policy
