#include "policy/match/glob.h"

#include <cstdint>

#include "policy/utf8.h"

namespace iron::policy {
namespace {

constexpr char32_t kInvalid = 0xfffd;

/// Takes one code point off the front; a byte that is not UTF-8 counts as one invalid character.
char32_t take_code_point(std::string_view& text) {
  const std::size_t length = utf8_sequence(text);
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (length <= 1) {
    text.remove_prefix(1);
    return length == 1 ? lead : kInvalid;
  }
  char32_t point = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    point = point << 6 | (static_cast<std::uint8_t>(text[i]) & 0x3fU);
  }
  text.remove_prefix(length);
  return point;
}

/// One end of a range in a class. False if it is malformed or nothing follows it.
bool take_class_char(std::string_view& pattern, char32_t& out) {
  if (pattern.empty() || pattern[0] == '-' || pattern[0] == ']') return false;
  if (pattern[0] == '\\') {
    pattern.remove_prefix(1);
    if (pattern.empty()) return false;
  }
  if (utf8_sequence(pattern) == 0) return false;
  out = take_code_point(pattern);
  return !pattern.empty();
}

/// Takes a class off the front of `pattern`, which stands behind `[`. False if it is malformed.
bool take_class(std::string_view& pattern, char32_t subject, bool& hit) {
  const bool negated = !pattern.empty() && pattern[0] == '^';
  if (negated) pattern.remove_prefix(1);
  bool in_ranges = false;
  bool first = true;
  while (first || pattern.empty() || pattern[0] != ']') {
    char32_t low = 0;
    if (!take_class_char(pattern, low)) return false;
    char32_t high = low;
    if (pattern[0] == '-') {
      pattern.remove_prefix(1);
      if (!take_class_char(pattern, high)) return false;
    }
    in_ranges = in_ranges || (low <= subject && subject <= high);
    first = false;
  }
  pattern.remove_prefix(1);
  hit = in_ranges != negated;
  return true;
}

/// Matches the pattern's first element, which is no `*`, against the front of `text`, which is not
/// empty; both move on only if it matches. The pattern is well formed.
bool match_one(std::string_view& pattern, std::string_view& text) {
  std::string_view rest = pattern;
  switch (rest[0]) {
    case '?':
      if (text[0] == '/') return false;
      rest.remove_prefix(1);
      take_code_point(text);
      pattern = rest;
      return true;
    case '[': {
      rest.remove_prefix(1);
      std::string_view text_rest = text;
      bool hit = false;
      if (!take_class(rest, take_code_point(text_rest), hit) || !hit) return false;
      pattern = rest;
      text = text_rest;
      return true;
    }
    case '\\':
      rest.remove_prefix(1);
      [[fallthrough]];
    default:
      if (rest[0] != text[0]) return false;
      pattern = rest.substr(1);
      text.remove_prefix(1);
      return true;
  }
}

}  // namespace

bool glob_well_formed(std::string_view pattern) {
  while (!pattern.empty()) {
    const char c = pattern[0];
    pattern.remove_prefix(1);
    if (c == '\\') {
      if (pattern.empty()) return false;
      pattern.remove_prefix(1);
    } else if (c == '[') {
      bool hit = false;
      if (!take_class(pattern, 0, hit)) return false;
    }
  }
  return true;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  if (!glob_well_formed(pattern)) return false;
  // Only the last `*` can be widened with effect: a wider earlier one only moves the later part
  // to the right, where the last one reaches as well.
  std::string_view star_pattern;
  std::string_view star_text;
  bool starred = false;
  while (true) {
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      star_pattern = pattern;
      star_text = text;
      starred = true;
      continue;
    }
    if (pattern.empty() && text.empty()) return true;
    if (!pattern.empty() && !text.empty() && match_one(pattern, text)) continue;
    if (!starred || star_text.empty() || star_text[0] == '/') return false;
    star_text.remove_prefix(1);
    pattern = star_pattern;
    text = star_text;
  }
}

}  // namespace iron::policy
