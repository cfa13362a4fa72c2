#include "proxy/http/field_text.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace iron::proxy {
namespace {

/// The bytes of which a text may consist.
std::string bytes_of(CharacterKind kind) {
  std::string found;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (all(std::string_view(&c, 1), kind)) found += c;
  }
  return found;
}

std::string range(int first, int last) {
  std::string bytes;
  for (int byte = first; byte <= last; ++byte) bytes += static_cast<char>(byte);
  return bytes;
}

TEST(CharacterKinds, AreThoseOfTheRfcs) {
  // RFC 9110 section 5.6.2, in the order of the bytes.
  EXPECT_EQ(bytes_of(kToken),
            "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~");
  // RFC 9110 section 5.5: HTAB, SP, VCHAR, obs-text.
  EXPECT_EQ(bytes_of(kValue), "\t" + range(0x20, 0x7e) + range(0x80, 0xff));
  // What no target may hold is what ends it, what is no text, and the fragment's mark.
  EXPECT_EQ(bytes_of(kTarget), range(0x21, 0x22) + range(0x24, 0x7e) + range(0x80, 0xff));
  EXPECT_EQ(bytes_of(kPrintable), range(0x20, 0x7e));
}

TEST(CharacterKinds, OneOtherByteAnywhereIsSeen) {
  EXPECT_TRUE(all("", kToken));
  for (std::size_t at = 0; at < 5; ++at) {
    std::string text = "token";
    EXPECT_TRUE(all(text, kToken));
    text[at] = '\0';
    EXPECT_FALSE(all(text, kToken)) << at;
    EXPECT_FALSE(is_token(text)) << at;
  }
  EXPECT_FALSE(is_token(""));
}

TEST(CharacterKinds, EachByteIsSeenAtEachPlaceOfAValue) {
  for (std::size_t size = 1; size <= 25; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'v');
        text[at] = static_cast<char>(byte);
        if (at + 1 < size) text[at + 1] = static_cast<char>(0x80);  // what a borrow would reach
        const bool good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        ASSERT_EQ(all(text, kValue), good) << size << ' ' << at << ' ' << byte;
      }
    }
  }
}

std::string tokens_of(std::string_view value) {
  std::string found;
  for_each_token(value, [&found](std::string_view token) { found.append(token).append("|"); });
  return found;
}

TEST(Tokens, AreCommaSeparated) {
  const struct {
    std::string_view value, tokens;
  } rows[] = {
      {"", ""},
      {"a", "a|"},
      {"a, b ,\tc\t", "a|b|c|"},
      {",a", "a|"},
      {"a,", "a|"},
      {" , ,, ", ""},
      {"a b", "a b|"},
      {"a\tb, c", "a\tb|c|"},
      {"\v,\r\n,a\f", "\v|\r\n|a\f|"},  // only SP and HTAB are blanks
      {"\"a, b\"", "\"a|b\"|"},         // no list of tokens has quotes
      {{"a,\0,b", 5}, {"a|\0|b|", 6}},
      {"\xc3\xa9 , \xff", "\xc3\xa9|\xff|"},
  };
  for (const auto& row : rows) EXPECT_EQ(tokens_of(row.value), row.tokens) << row.value;
}

TEST(Tokens, AreFoundWholeAndWithoutCase) {
  const struct {
    std::string_view value, token;
    bool found;
  } rows[] = {
      {"close", "close", true},
      {"keep-alive, Close", "close", true},
      {"CLOSE,keep-alive", "close", true},
      {"a,\tclose\t,b", "close", true},
      {"", "close", false},
      {"closed, xclose", "close", false},
      {"clos e", "close", false},
      {"close;q=1", "close", false},
      {"\"close\"", "close", false},
      {{"close\0", 6}, "close", false},
      {"close\v", "close", false},
      {"cl\xc5\xbfse", "close", false},  // a letter that some fold to s
  };
  for (const auto& row : rows) EXPECT_EQ(has_token(row.value, row.token), row.found) << row.value;
}

}  // namespace
}  // namespace iron::proxy
