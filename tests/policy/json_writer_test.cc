#include "policy/json/json_writer.h"

#include <gtest/gtest.h>

#include <limits>

#include "policy/quote.h"

namespace iron::policy {
namespace {

std::string json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonString, Escapes) {
  using namespace std::string_view_literals;
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", R"("")"},
      {"plain text <a>&\x7f", "\"plain text <a>&\x7f\""},
      {"a\"b\\c", R"("a\"b\\c")"},
      {"\n\r\t", R"("\n\r\t")"},
      {"\x00\x01\x08\x0b\x0c\x1f"sv, R"("\u0000\u0001\u0008\u000b\u000c\u001f")"},
      {"\u2028x\u2029", R"("\u2028x\u2029")"},
      {"\u00e9\u20ac\U0001f600", "\"\u00e9\u20ac\U0001f600\""},
      {"a\xff"
       "b",
       R"("a\ufffdb")"},
      {"\xe2\x82", R"("\ufffd\ufffd")"},
      {"\xc0\xaf", R"("\ufffd\ufffd")"},
      {"\xed\xa0\x80", R"("\ufffd\ufffd\ufffd")"},
      {"\xf4\x90\x80\x80", R"("\ufffd\ufffd\ufffd\ufffd")"},
      {"\xe0\x80\x80", R"("\ufffd\ufffd\ufffd")"},
      {"\xf0\x80\x80\x80", R"("\ufffd\ufffd\ufffd\ufffd")"},
      {"\xef\xbf\xbd", "\"\xef\xbf\xbd\""},
      {"\xf5", R"("\ufffd")"},
      {"\xe2\x80\xa8\xe2", R"("\u2028\ufffd")"},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(json(text), want);
}

TEST(JsonString, EveryByteAtEveryOffsetOfABlock) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string alone = json(std::string(1, static_cast<char>(byte)));
    const std::string inner = alone.substr(1, alone.size() - 2);
    for (std::size_t before = 0; before < 17; ++before) {
      const std::string text =
          std::string(before, 'x') + static_cast<char>(byte) + std::string(16 - before, 'y');
      EXPECT_EQ(json(text),
                "\"" + std::string(before, 'x') + inner + std::string(16 - before, 'y') + "\"");
    }
  }
}

TEST(JsonNumbers, Integers) {
  std::string out;
  append_json_integer(out, 0);
  out += ' ';
  append_json_integer(out, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(out, "0 -9223372036854775808");
}

TEST(JsonNumbers, MillisecondsAreTruncatedMicroseconds) {
  const std::pair<std::int64_t, const char*> cases[] = {
      {0, "0"},        {999, "0"},
      {2000, "0.002"}, {2999, "0.002"},
      {30000, "0.03"}, {454830000, "454.83"},
      {3000000, "3"},  {3000999, "3"},
      {100000, "0.1"}, {1234567890123, "1234567.89"},
      {-5, "0"},
  };
  for (const auto& [nanoseconds, want] : cases) {
    std::string out;
    append_json_milliseconds(out, nanoseconds);
    EXPECT_EQ(out, want) << nanoseconds;
  }
}

TEST(Quoted, ShowsTextAsErrorsDo) {
  EXPECT_EQ(quoted("a\"b\\\n\x01\x7f\xff\u00e9"), "\"a\\\"b\\\\\\n\\x01\\x7f\\xff\u00e9\"");
}

}  // namespace
}  // namespace iron::policy
