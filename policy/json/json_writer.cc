#include "policy/json/json_writer.h"

#include <algorithm>
#include <charconv>

#include "policy/byte_blocks.h"
#include "policy/json/line_writer.h"
#include "policy/utf8.h"

namespace iron::policy {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool clean(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/// Whether all eight bytes stay as they are. May say no for a clean block, never yes for another.
bool clean_block(std::uint64_t block) {
  const std::uint64_t below_blank = block - kEachByte * 0x20;
  const std::uint64_t is_quote = (block ^ (kEachByte * '"')) - kEachByte;
  const std::uint64_t is_backslash = (block ^ (kEachByte * '\\')) - kEachByte;
  return ((below_blank | is_quote | is_backslash | block) & kEachTop) == 0;
}

std::size_t clean_run(std::string_view text) {
  std::size_t i = passing_blocks(text, clean_block);
  while (i < text.size() && clean(text[i])) ++i;
  return i;
}

/// `Out` has `+=` for texts and characters.
template <class Out>
void append_escaped_ascii(Out& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
  }
}

/// Writes the character at the front, which is not ASCII; returns how many bytes it took.
template <class Out>
std::size_t append_beyond_ascii(Out& out, std::string_view text) {
  const std::size_t length = utf8_sequence(text);
  if (length == 0) {
    out += "\\ufffd";
    return 1;
  }
  const std::string_view sequence = text.substr(0, length);
  if (sequence == "\u2028") {
    out += "\\u2028";
  } else if (sequence == "\u2029") {
    out += "\\u2029";
  } else {
    out += sequence;
  }
  return length;
}

struct Memory {
  char* at;
  Memory& operator+=(std::string_view text) {
    at = std::copy(text.begin(), text.end(), at);
    return *this;
  }
  Memory& operator+=(char c) {
    *at++ = c;
    return *this;
  }
};

}  // namespace

char* put_json_character(char* out, std::string_view& text) {
  Memory memory{out};
  const char c = text.front();
  std::size_t taken = 1;
  if (static_cast<unsigned char>(c) >= 0x80) {
    taken = append_beyond_ascii(memory, text);
  } else if (clean(c)) {
    memory += c;
  } else {
    append_escaped_ascii(memory, c);
  }
  text.remove_prefix(taken);
  return memory.at;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (true) {
    const std::size_t run = clean_run(text);
    out.append(text.data(), run);
    text.remove_prefix(run);
    if (text.empty()) break;
    if (static_cast<unsigned char>(text[0]) < 0x80) {
      append_escaped_ascii(out, text[0]);
      text.remove_prefix(1);
    } else {
      text.remove_prefix(append_beyond_ascii(out, text));
    }
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
