#include "transforms/sources/call_parts.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace iron::transforms {
namespace {

SecretPtr key(std::string_view text) {
  return std::make_shared<const Secret>(Secret::copy_of(text));
}

TEST(CallParts, NothingIsToldThatShowsAKey) {
  const std::vector<SecretPtr> keys{key("s.Tok-9?"), nullptr, key(""), key("ab")};
  struct Case {
    std::string text, told;
  };
  for (const Case& at : {
           Case{"", ""},
           Case{"permission denied\n", "permission denied\n"},
           Case{"token s.Tok-9? is old", ""},
           Case{"in base64: cy5Ub2stOT8=", ""},
           Case{"of urls, behind a colon: OnMuVG9rLTk_", ""},
           Case{"behind two bytes: dTpzLlRvay05Pw==", ""},
           Case{"in hex: 732e546f6b2d393f", ""},
           Case{"in hex: 732E546F6B2D393F.", ""},
           Case{"hex of a short one: 6162", "hex of a short one: 6162"},
           Case{"drab", ""},
           Case{"a\tb\x7f\xff", "a?b??"},
           Case{std::string(300, 'x'), std::string(256, 'x')},
           Case{std::string(255, 'x') + "\u00e9", std::string(255, 'x')},
       }) {
    EXPECT_EQ(told(at.text, keys), at.told) << at.text;
  }
  EXPECT_EQ(told("token s.Tok-9? is old", {}), "token s.Tok-9? is old");
}

TEST(CallParts, TextsBesideEachOther) {
  EXPECT_EQ(joined({"a", "", "bc"}).reveal(), "abc");
  EXPECT_EQ(bearer(*key("t"))->reveal(), "Bearer t");
  EXPECT_EQ(joined_by(' ', {}), "");
  EXPECT_EQ(joined_by(',', {"a", "b c"}), "a,b c");
  EXPECT_EQ(query_value("a b&c"), "a+b%26c");
  EXPECT_EQ(path_part("a b/c"), "a%20b%2Fc");
}

}  // namespace
}  // namespace iron::transforms
