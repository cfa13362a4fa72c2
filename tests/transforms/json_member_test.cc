#include "transforms/sources/json_member.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::transforms {
namespace {

using Kind = JsonPart::Kind;

TEST(JsonDocument, TellsKindsAndSpans) {
  struct Case {
    const char* text;
    Kind kind;
    const char* raw;
  };
  for (const Case& at : {
           Case{" null ", Kind::null, "null"},
           Case{"true", Kind::boolean, "true"},
           Case{"\nfalse", Kind::boolean, "false"},
           Case{"-1.5e+3 ", Kind::number, "-1.5e+3"},
           Case{R"("a\"b")", Kind::string, R"(a\"b)"},
           Case{" { \"a\" : [ ] } ", Kind::object, "{ \"a\" : [ ] }"},
           Case{"[1, 2]", Kind::array, "[1, 2]"},
       }) {
    const auto part = json_document(at.text);
    ASSERT_TRUE(part) << at.text;
    EXPECT_EQ(part->kind, at.kind) << at.text;
    EXPECT_EQ(part->raw, at.raw);
  }
  for (const char* text : {"", " ", "nul", "01", "-", "1.", "1e", "\"", "\"\\x\"", "[1,]", "[1 2]",
                           "{,}", "{\"a\"}", "{a:1}", "[1]x", "{}{}", "]", "1 2"}) {
    EXPECT_FALSE(json_document(text)) << text;
  }
}

TEST(JsonDocument, FindsMembersOfMembers) {
  const Secret document = Secret::copy_of(
      R"({"a":{"b":{"c":"deep"},"k":1},"\u0062":[1,{"x":"y"},"z",[]],"n":12,"n":-3,"s":"1\n2"})");
  const auto root = json_document(document.reveal());
  ASSERT_TRUE(root);
  const auto a = json_member(*root, "a");
  ASSERT_TRUE(a);
  const auto b = json_member(*a, "b");
  ASSERT_TRUE(b);
  EXPECT_EQ(b->raw, R"({"c":"deep"})");
  const auto c = json_member(*b, "c");
  ASSERT_TRUE(c);
  EXPECT_EQ(json_text(*c).reveal(), "deep");
  EXPECT_FALSE(json_member(*root, "c"));
  EXPECT_FALSE(json_member(*c, "c"));
  EXPECT_EQ(json_member(*root, "n")->raw, "-3");
  const auto s = json_member(*root, "s");
  EXPECT_EQ(json_text(*s).reveal(), "1\n2");
  EXPECT_TRUE(json_text_is(*s, "1\n2"));
  EXPECT_FALSE(json_text_is(*s, "1\n"));
  EXPECT_FALSE(json_text_is(*json_member(*root, "n"), "-3"));
  const auto elements = json_elements(*json_member(*root, "b"));
  ASSERT_EQ(elements.size(), 4U);
  EXPECT_EQ(elements[0].raw, "1");
  EXPECT_EQ(json_member(elements[1], "x")->raw, "y");
  EXPECT_EQ(elements[2].kind, Kind::string);
  EXPECT_EQ(elements[3].raw, "[]");
  EXPECT_TRUE(json_elements(*a).empty());
  EXPECT_FALSE(json_member(*json_member(*root, "b"), "x"));
}

TEST(JsonDocument, HasABottom) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(json_document(nested(1000)));
  EXPECT_FALSE(json_document(nested(1002)));
  EXPECT_FALSE(json_document(std::string(1000000, '[')));
}

}  // namespace
}  // namespace iron::transforms
