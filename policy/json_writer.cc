#include "policy/json_writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "policy/line_writer.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr std::uint64_t kOnes = 0x0101010101010101U;
constexpr std::uint64_t kHighs = 0x8080808080808080U;

bool clean(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/// Whether all eight bytes stay as they are. May say no for a clean block, never yes for another.
bool clean_block(const char* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  const std::uint64_t below_blank = word - kOnes * 0x20;
  const std::uint64_t is_quote = (word ^ (kOnes * '"')) - kOnes;
  const std::uint64_t is_backslash = (word ^ (kOnes * '\\')) - kOnes;
  return ((below_blank | is_quote | is_backslash | word) & kHighs) == 0;
}

std::size_t clean_run(std::string_view text) {
  std::size_t i = 0;
  while (i + 8 <= text.size() && clean_block(text.data() + i)) i += 8;
  while (i < text.size() && clean(text[i])) ++i;
  return i;
}

char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* put_escaped_ascii(char* out, char c) {
  switch (c) {
    case '"':
      return put(out, "\\\"");
    case '\\':
      return put(out, "\\\\");
    case '\n':
      return put(out, "\\n");
    case '\r':
      return put(out, "\\r");
    case '\t':
      return put(out, "\\t");
    default:
      out = put(out, "\\u00");
      *out++ = kHex[static_cast<unsigned char>(c) >> 4];
      *out++ = kHex[static_cast<unsigned char>(c) & 15];
      return out;
  }
}

}  // namespace

char* put_json_character(char* out, std::string_view& text) {
  const char c = text.front();
  if (static_cast<unsigned char>(c) < 0x80) {
    text.remove_prefix(1);
    return clean(c) ? put(out, {&c, 1}) : put_escaped_ascii(out, c);
  }
  const std::size_t length = utf8_sequence(text);
  const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
  text.remove_prefix(sequence.size());
  if (length == 0) return put(out, "\\ufffd");
  if (sequence == "\u2028") return put(out, "\\u2028");
  return put(out, sequence == "\u2029" ? "\\u2029" : sequence);
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (true) {
    const std::size_t run = clean_run(text);
    out.append(text.data(), run);
    text.remove_prefix(run);
    if (text.empty()) break;
    char escaped[kLongestJsonEscape];
    out.append(escaped, put_json_character(escaped, text));
  }
  out += '"';
}

bool is_plain_json(std::string_view text) { return clean_run(text) == text.size(); }

void append_json_integer(std::string& out, std::int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_json_milliseconds(std::string& out, std::int64_t nanoseconds) {
  LineWriter(out, 0).put_milliseconds(nanoseconds);
}

}  // namespace iron::policy
