#include "policy/match/path.h"

#include <gtest/gtest.h>

#include <optional>

namespace iron::policy {
namespace {

std::optional<std::string> decoded(std::string_view raw) {
  std::string out = "left over";
  if (!percent_decode(raw, out)) return std::nullopt;
  return out;
}

TEST(PercentDecode, Decodes) {
  using namespace std::string_view_literals;
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"/v1/messages", "/v1/messages"},
      {"/a%2Fb", "/a/b"},
      {"/%761/a", "/v1/a"},
      {"/caf%C3%A9", "/caf\xc3\xa9"},
      {"/a+b%20c", "/a+b c"},
      {"/%2525", "/%25"},
      {"/a%00b", "/a\0b"sv},
      {"%41%42", "AB"},
      {"/x%5c", "/x\\"},
  };
  for (const auto& [raw, want] : cases) EXPECT_EQ(decoded(raw), want) << raw;
}

TEST(PercentDecode, ReportsBadEscapes) {
  for (const char* raw : {"%", "/a%", "/a%2", "/a%zz", "/a%2g", "/%%20", "/%+1", "/a%2\xff"}) {
    EXPECT_FALSE(decoded(raw)) << raw;
  }
}

TEST(DecodeKeepingSeparators, OnlyWherePresent) {
  const std::pair<const char*, const char*> cases[] = {
      {"/v1/a", nullptr},     {"/v1/%61", nullptr},   {"/v1/%252F", nullptr},
      {"/v1%2Fa", "/v1%2Fa"}, {"/v1%2fa", "/v1%2Fa"}, {"/v%31/a%5cb%2F", "/v1/a%5Cb%2F"},
      {"/a%2F%zz", nullptr},
  };
  for (const auto& [raw, want] : cases) {
    std::string out = "untouched";
    EXPECT_EQ(decode_keeping_separators(raw, out), want != nullptr) << raw;
    EXPECT_EQ(out, want == nullptr ? "untouched" : want) << raw;
  }
}

struct DotRow {
  const char* path;
  bool plain;
  bool strict;
};

TEST(DotSegments, Found) {
  const DotRow cases[] = {
      {"", false, false},
      {"/", false, false},
      {"*", false, false},
      {"/a/b.c/..d/e../...", false, false},
      {"/a/.b", false, false},
      {"/.well-known/x", false, false},
      {"/.", true, true},
      {"/..", true, true},
      {"/a/../b", true, true},
      {"/a/./b", true, true},
      {"/a/..", true, true},
      {"..", true, true},
      {"/a\\..\\b", true, true},
      {"/a\\.", true, true},
      {"/%2e%2e/x", true, true},
      {"/a/%2e/x", true, true},
      {"/a/.%2e", true, true},
      {"/a%5c..", true, true},
      {"/a/..%5cb", true, true},
      {"/a%2f..%2fb", true, true},
      {"/a/%2e%2e%2fb", true, true},
      // Only one more decoding is looked behind.
      {"/a/%252e%252e/b", false, false},
      {"/a/%2e%2ex", false, false},
      {"/100%/..x", false, false},
      {"/100%/..", true, true},
      {"/%zz/%2e%2e", true, true},
      {"/a/..;x/b", false, true},
      {"/a/.;/b", false, true},
      {"/a/..;", false, true},
      {"/a/..%3bx/b", false, true},
      {"/a/%2e%2e;x", false, true},
      {"/a;/../b", true, true},
      {"/a;..", false, false},
      {"/a/...;x", false, false},
  };
  for (const auto& row : cases) {
    EXPECT_EQ(has_dot_segments(row.path), row.plain) << row.path;
    EXPECT_EQ(has_dot_segments(row.path, DotSegments::strict), row.strict) << row.path;
  }
}

TEST(RemoveDotSegments, TakesOutLiteralOnes) {
  const std::pair<const char*, const char*> cases[] = {
      {"", nullptr},
      {"/", nullptr},
      {"*", nullptr},
      {".", nullptr},
      {"./a", nullptr},
      {"/a.b/.c/d./..", nullptr},
      {"/a/%2e/b", nullptr},
      {"/a/%2E", nullptr},
      {"/a%2F./b", nullptr},
      {"/a/.%2Fb", nullptr},
      {"/a\\./b", nullptr},
      {"/a/.\\b", nullptr},
      {"/a/.;x/b", nullptr},
      {"/.", "/"},
      {"/./", "/"},
      {"/./.", "/"},
      {"/./a", "/a"},
      {"/a/.", "/a/"},
      {"/a/./", "/a/"},
      {"/a/./b", "/a/b"},
      {"/a/././b", "/a/b"},
      {"/a//.//b", "/a///b"},
      {"/./a/./b/.", "/a/b/"},
      {"/a/./..", "/a/.."},
      {"/a/./%2e/b", "/a/%2e/b"},
      {"/./a.b/.c/%2F", "/a.b/.c/%2F"},
  };
  for (const auto& [raw, want] : cases) {
    std::string out = "untouched";
    EXPECT_EQ(remove_dot_segments(raw, out), want != nullptr) << raw;
    EXPECT_EQ(out, want == nullptr ? "untouched" : want) << raw;
  }
}

}  // namespace
}  // namespace iron::policy
