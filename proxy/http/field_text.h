#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "policy/byte_blocks.h"

namespace iron::proxy {

/// What a byte may be part of (RFC 9110 section 5.6.2, RFC 9112 section 3.2).
enum CharacterKind : unsigned char { kToken = 1, kValue = 2, kTarget = 4, kPrintable = 8 };

consteval std::array<unsigned char, 256> make_character_kinds() {
  std::array<unsigned char, 256> table{};
  for (int c = 0; c < 256; ++c) {
    unsigned char bits = 0;
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (alnum) bits |= kToken;
    for (const char extra : std::string_view("!#$%&'*+-.^_`|~")) {
      if (c == extra) bits |= kToken;
    }
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) bits |= kValue;
    if (c > 0x20 && c != 0x7f && c != '#') bits |= kTarget;
    if (c >= 0x20 && c < 0x7f) bits |= kPrintable;
    table[static_cast<std::size_t>(c)] = bits;
  }
  return table;
}
inline constexpr auto kCharacterKinds = make_character_kinds();

/// No control byte is among the eight, HTAB included; may say no of others.
inline bool is_plain_text(std::uint64_t block) {
  using policy::kEachByte;
  const std::uint64_t del = block ^ (kEachByte * 0x7f);
  // A borrow may only take a byte behind a control byte for one, too.
  const std::uint64_t controls = (block - kEachByte * 0x20) & ~block;
  const std::uint64_t dels = (del - kEachByte) & ~del;
  return ((controls | dels) & policy::kEachTop) == 0;
}

/// Whether every byte is of that kind.
inline bool all(std::string_view text, CharacterKind kind) {
  // Values are most of a head: 210 of the 2,770 instructions that parsing a usual one takes are
  // saved (bench/gate, `proxy/request_head_parse`).
  if (kind == kValue) text.remove_prefix(policy::passing_blocks(text, is_plain_text));
  for (const char c : text) {
    if ((kCharacterKinds[static_cast<unsigned char>(c)] & kind) == 0) return false;
  }
  return true;
}

inline bool is_token(std::string_view text) { return !text.empty() && all(text, kToken); }
/// Calls `each(token)` for the comma-separated elements of a field value, trimmed, empty ones
/// skipped.
template <class Each>
void for_each_token(std::string_view value, Each each) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    std::string_view token = value.substr(0, comma);
    while (!token.empty() && (token.front() == ' ' || token.front() == '\t'))
      token.remove_prefix(1);
    while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
    if (!token.empty()) each(token);
    if (comma == std::string_view::npos) break;
    value.remove_prefix(comma + 1);
  }
}
bool has_token(std::string_view value, std::string_view token);

}  // namespace iron::proxy
