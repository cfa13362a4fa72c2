#include "policy/hex.h"

#include <gtest/gtest.h>

#include <string_view>

namespace iron::policy {
namespace {

TEST(Hex, KnowsTheValueOfEveryDigitAndOfNothingElse) {
  constexpr std::string_view kLower = "0123456789abcdef", kUpper = "0123456789ABCDEF";
  int digits = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    std::size_t value = kLower.find(c);
    if (value == kLower.npos) value = kUpper.find(c);
    const int expected = value == kLower.npos ? -1 : static_cast<int>(value);
    EXPECT_EQ(hex_value(c), expected) << byte;
    if (expected >= 0) ++digits;
  }
  EXPECT_EQ(digits, 22);
}

}  // namespace
}  // namespace iron::policy
