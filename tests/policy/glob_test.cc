#include "policy/match/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::policy {
namespace {

struct Row {
  const char* pattern;
  const char* text;
  bool matches;
};

TEST(Glob, Matches) {
  const Row cases[] = {
      {"", "", true},
      {"", "a", false},
      {"abc", "abc", true},
      {"abc", "abcd", false},
      {"*", "abc", true},
      {"*", "", true},
      {"*", "a/b", false},
      {"**", "abc", true},
      {"*c", "abc", true},
      {"a*", "a", true},
      {"a*", "ab/c", false},
      {"a*/b", "abc/b", true},
      {"a*/b", "a/c/b", false},
      {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
      {"a*b*c*d*e*/f", "axbxcxdxexxx/f", true},
      {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false},
      {"a*b?c*x", "abxbbxdbxebxczzx", true},
      {"a*b?c*x", "abxbbxdbxebxczzy", false},
      {"*foo.up.test", "a.b.foo.up.test", true},
      {"z.*.up.test", "z.a.b.up.test", true},
      {"x*.up.test", "x.y.up.test", true},
      {"/f*g", "/fXXg", true},
      {"/f*g", "/fX/Xg", false},
      {"/h/*/i", "/h/x/i", true},
      {"/h/*/i", "/h/i", false},
      {"/h/*/i", "/h/x/y/i", false},
      {"/a?c", "/abc", true},
      {"/a?c", "/a/c", false},
      {"/esc\\*", "/esc*", true},
      {"/esc\\*", "/escx", false},
      {"a?b",
       "a\xe2\x98\xba"
       "b",
       true},
      {"a???b",
       "a\xe2\x98\xba"
       "b",
       false},
      {"a?b",
       "a\xff"
       "b",
       true},
      {"ab[c]", "abc", true},
      {"ab[b-d]", "abc", true},
      {"ab[e-g]", "abc", false},
      {"ab[^c]", "abc", false},
      {"ab[^e-g]", "abc", true},
      {"[a-\xce\xb6]*", "\xce\xb1", true},
      {"[a-\xce\xb6]*", "A", false},
      {"[\\-]", "-", true},
      {"[x\\-]", "-", true},
      {"[\\]a]", "]", true},
      {"a[^a]b",
       "a\xe2\x98\xba"
       "b",
       true},
      {"[!a]", "!", true},
      {"[^]", "a", false},
      {"[", "a", false},
      {"[a", "a", false},
      {"[]a]", "]", false},
      {"[-]", "-", false},
      {"[x-]", "x", false},
      {"[a-b-c]", "a", false},
      {"[-x]", "x", false},
      {"a[", "ab", false},
      {"a[", "a", false},
      {"\\", "\\", false},
      {"*[", "abc", false},
      {"\\a", "a", true},
      {"a\\\\b", "a\\b", true},
  };
  for (const auto& row : cases) {
    EXPECT_EQ(glob_match(row.pattern, row.text), row.matches) << row.pattern << " on " << row.text;
  }
}

TEST(Glob, WellFormed) {
  for (const char* good : {"", "*", "a[b-c]d", "[^a]", "\\[", "[\\]]"}) {
    EXPECT_TRUE(glob_well_formed(good)) << good;
  }
  for (const char* bad : {"[a", "[", "[]", "[^]", "a\\", "[a-]", "[-a]", "[\xff]"}) {
    EXPECT_FALSE(glob_well_formed(bad)) << bad;
  }
}

TEST(Glob, ManyStarsStayCheap) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  pattern += "b";
  const std::string text(20000, 'a');
  EXPECT_FALSE(glob_match(pattern, text));
}

}  // namespace
}  // namespace iron::policy
