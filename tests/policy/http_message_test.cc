#include "policy/http_message.h"

#include <gtest/gtest.h>

namespace iron {
namespace {

TEST(Iequals, AsciiOnly) {
  EXPECT_TRUE(iequals("", ""));
  EXPECT_TRUE(iequals("Content-Length", "cONTENT-lENGTH"));
  EXPECT_FALSE(iequals("a", "ab"));
  EXPECT_FALSE(iequals("@", "`"));
  EXPECT_FALSE(iequals("[", "{"));
  EXPECT_FALSE(iequals("-", "\r"));
  EXPECT_FALSE(iequals("\xc3\x84", "\xc3\xa4"));
}

TEST(Headers, FindsCountsAndRemoves) {
  Headers headers;
  headers.add("Host", "a");
  headers.add("X-A", "1");
  headers.add("x-a", "2");
  ASSERT_NE(headers.find("X-a"), nullptr);
  EXPECT_EQ(headers.find("X-a")->value, "1");
  EXPECT_EQ(headers.count("X-A"), 2U);
  EXPECT_EQ(headers.find("X-B"), nullptr);
  EXPECT_EQ(headers.remove_if([](const Field& field) { return iequals(field.name, "x-A"); }), 2U);
  EXPECT_EQ(headers.size(), 1U);
}

}  // namespace
}  // namespace iron
