#include "transforms/scrub/scrub_spelling.h"

namespace iron::transforms {
namespace {

using Kind = ScrubForms::Kind;

constexpr char kHex[] = "0123456789abcdef";

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// `letter` of `\letter` in JSON, or 0 (RFC 8259 section 7).
char short_escape(char byte) {
  switch (byte) {
    case '"':
    case '\\':
    case '/':
      return byte;
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 0;
  }
}

/// The character that UTF-8 `bytes`, of which there are some, begin with, if it is longer than one
/// byte.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 0;  ///< 0: none
};
CodePoint code_point(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = at(0);
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 0;
  if (size == 0 || bytes.size() < size) return {};
  std::uint32_t value = lead & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xC0U) != 0x80) return {};
    value = value << 6 | (at(i) & 0x3FU);
  }
  constexpr std::uint32_t kLeast[] = {0x80, 0x800, 0x10000}, kMost = 0x10FFFF;
  if (value < kLeast[size - 2] || value > kMost) return {};
  return {value, size};
}

}  // namespace

bool plain_equals(Kind kind, char wanted, char byte) {
  if (byte == wanted) return true;
  if (kind == Kind::text) return wanted == ' ' && byte == '+';
  return kind == Kind::base64 && ((wanted == '+' && byte == '-') || (wanted == '/' && byte == '_'));
}

bool may_escape(Kind kind, char wanted) {
  return kind == Kind::text || (kind == Kind::base64 && !is_alphanumeric(wanted));
}

std::size_t spelling_length(std::string_view bytes, Spelling spelling) {
  switch (spelling) {
    case Spelling::percent:
      return 3;
    case Spelling::json_short:
      return short_escape(bytes.front()) == 0 ? 0 : 2;
    case Spelling::json_byte:
      return 6;
    case Spelling::json_code: {
      const CodePoint code = code_point(bytes);
      return code.size == 0 ? 0 : code.size == 4 ? 12 : 6;
    }
    case Spelling::hex:
      return 2;
    case Spelling::none:
      break;
  }
  return 0;
}

char spelled(std::string_view bytes, Spelling spelling, std::size_t offset) {
  const auto byte = static_cast<unsigned char>(bytes.front());
  const auto digit = [](std::uint32_t value, std::size_t from_right) {
    return kHex[value >> (4 * from_right) & 15];
  };
  switch (spelling) {
    case Spelling::percent:
      return offset == 0 ? '%' : digit(byte, 2 - offset);
    case Spelling::json_short:
      return offset == 0 ? '\\' : short_escape(bytes.front());
    case Spelling::json_byte:
      return offset < 2 ? "\\u"[offset] : digit(byte, 5 - offset);
    case Spelling::json_code: {
      const CodePoint code = code_point(bytes);
      std::uint32_t unit = code.value;
      if (code.size == 4) {  // a pair of surrogates
        unit -= 0x10000;
        unit = offset < 6 ? 0xD800 + (unit >> 10) : 0xDC00 + (unit & 0x3FF);
      }
      const std::size_t within = offset % 6;
      return within < 2 ? "\\u"[within] : digit(unit, 5 - within);
    }
    case Spelling::hex:
      return digit(byte, 1 - offset);
    case Spelling::none:
      break;
  }
  return 0;
}

std::size_t spelled_bytes(std::string_view bytes, Spelling spelling) {
  return spelling == Spelling::json_code ? code_point(bytes).size : 1;
}

}  // namespace iron::transforms
