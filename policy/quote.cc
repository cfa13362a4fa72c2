#include "policy/quote.h"

#include <cstdint>

namespace iron::policy {
namespace {

constexpr char kHex[] = "0123456789abcdef";

std::uint8_t byte_at(std::string_view text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}

void append_control(std::string& out, std::uint8_t byte) {
  constexpr std::string_view kNamed = "abtnvfr";  // 0x07 to 0x0d
  out += '\\';
  if (byte >= 0x07 && byte <= 0x0d) {
    out += kNamed[byte - 0x07U];
    return;
  }
  out += 'x';
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

std::size_t utf8_sequence(std::string_view text) {
  const std::uint8_t lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  }
  // The second byte alone tells overlong forms, surrogates and what lies above U+10FFFF (RFC 3629).
  const std::uint8_t second = byte_at(text, 1);
  if (lead == 0xe0 && second < 0xa0) return 0;
  if (lead == 0xed && second > 0x9f) return 0;
  if (lead == 0xf0 && second < 0x90) return 0;
  if (lead == 0xf4 && second > 0x8f) return 0;
  return length;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::uint8_t byte = byte_at(text, 0);
    const std::size_t length = utf8_sequence(text);
    if (length == 0 || byte < 0x20 || byte == 0x7f) {
      append_control(out, byte);
      text.remove_prefix(1);
      continue;
    }
    if (byte == '"' || byte == '\\') out += '\\';
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  out += '"';
  return out;
}

}  // namespace iron::policy
