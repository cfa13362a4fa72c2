#include "policy/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::policy {
namespace {

std::string encoded(std::uint32_t point) {
  std::string out;
  encode_utf8(point, [&out](char byte) { out += byte; });
  return out;
}

TEST(Utf8, EncodesTheEndsOfEveryLength) {
  const struct {
    std::uint32_t point;
    std::string_view bytes;
  } cases[] = {
      {0x00, std::string_view("\0", 1)},
      {0x7F, "\x7F"},
      {0x80, "\xC2\x80"},
      {0x7FF, "\xDF\xBF"},
      {0x800, "\xE0\xA0\x80"},
      {0x20AC, "\xE2\x82\xAC"},
      {0xFFFD, "\xEF\xBF\xBD"},
      {0xFFFF, "\xEF\xBF\xBF"},
      {0x10000, "\xF0\x90\x80\x80"},
      {0x1F600, "\xF0\x9F\x98\x80"},
      {0x10FFFF, "\xF4\x8F\xBF\xBF"},
  };
  for (const auto& row : cases) EXPECT_EQ(encoded(row.point), row.bytes) << row.point;
}

TEST(Utf8, KnowsWhatItEncodesAndNoSurrogate) {
  for (std::uint32_t point = 0; point <= 0x10FFFF; ++point) {
    const bool surrogate = point >= 0xD800 && point < 0xE000;
    const std::string bytes = encoded(point);
    ASSERT_EQ(utf8_sequence(bytes), surrogate ? 0 : bytes.size()) << point;
    ASSERT_EQ(utf8_sequence(bytes + '\x80'), surrogate ? 0 : bytes.size()) << point;
  }
}

TEST(Utf8, RefusesWhatIsNoSequence) {
  for (const char* text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE2\x82",
        "\xE2\x82\x41", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"})
    EXPECT_EQ(utf8_sequence(text), 0u) << testing::PrintToString(text);
}

}  // namespace
}  // namespace iron::policy
