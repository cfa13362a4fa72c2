#include "policy/quote.h"

#include <cstdint>

#include "policy/utf8.h"

namespace iron::policy {
namespace {

constexpr char kHex[] = "0123456789abcdef";

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

std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const auto byte = static_cast<std::uint8_t>(text.front());
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
