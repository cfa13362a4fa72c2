#include <charconv>
#include <cmath>
#include <cstdlib>

#include "policy/yaml/yaml_node.h"

namespace iron::policy {
namespace {

bool one_of(std::string_view text, std::initializer_list<std::string_view> list) {
  for (auto entry : list)
    if (text == entry) return true;
  return false;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t skip_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
bool looks_like_float(std::string_view text) {
  std::size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const std::size_t whole_end = skip_digits(text, at);
  const bool whole = whole_end > at;
  at = whole_end;
  if (at < text.size() && text[at] == '.') {
    const std::size_t end = skip_digits(text, at + 1);
    if (!whole && end == at + 1) return false;
    at = end;
  } else if (!whole) {
    return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    const std::size_t end = skip_digits(text, at);
    if (end == at) return false;
    at = end;
  }
  return at == text.size();
}

bool read_float(std::string_view text, double& out) {
  if (!looks_like_float(text)) return false;
  if (text[0] == '+') text.remove_prefix(1);
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, out);
  if (result.ptr != end) return false;
  if (result.ec == std::errc()) return true;
  // Too small is zero, too large is no number.
  out = std::strtod(std::string(text).c_str(), nullptr);
  return std::isfinite(out);
}

/// Decimal, or with a prefix: 0x, 0o, 0b, 0 (octal); a sign comes first.
bool read_integer(std::string_view text, YamlScalar& out) {
  const bool negative = !text.empty() && text[0] == '-';
  const bool sign = negative || (!text.empty() && text[0] == '+');
  if (sign) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = text[1] | 0x20;
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  std::uint64_t magnitude = 0;
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, magnitude, base);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) return false;
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 63;
  if (negative) {
    if (magnitude > kLimit) return false;
    out.integer = static_cast<std::int64_t>(~magnitude + 1);
  } else if (magnitude < kLimit) {
    out.integer = static_cast<std::int64_t>(magnitude);
  } else {
    if (sign) return false;
    out.is_unsigned = true;
    out.unsigned_integer = magnitude;
  }
  return true;
}

bool read_part(
    std::string_view text, std::size_t& at, std::size_t most, int low, int high, int* out) {
  const std::size_t start = at;
  int value = 0;
  while (at < text.size() && at - start < most && is_digit(text[at]))
    value = value * 10 + (text[at++] - '0');
  *out = value;
  return at > start && value >= low && value <= high;
}

bool skip(std::string_view text, std::size_t& at, char c) {
  if (at >= text.size() || text[at] != c) return false;
  ++at;
  return true;
}

/// The time forms the configuration language knows: `2001-1-2`, with `T…Z` or with ` 1:2:3`.
bool is_timestamp(std::string_view text) {
  std::size_t at = 0;
  int year = 0, month = 0, day = 0, ignored = 0;
  if (skip_digits(text, 0) != 4 || !read_part(text, at, 4, 0, 9999, &year)) return false;
  if (!skip(text, at, '-') || !read_part(text, at, 2, 1, 12, &month)) return false;
  if (!skip(text, at, '-') || !read_part(text, at, 2, 1, 31, &day)) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  const int days[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (day > days[month - 1]) return false;
  if (at == text.size()) return true;
  const char separator = text[at++];
  if (separator != 'T' && separator != 't' && separator != ' ') return false;
  if (!read_part(text, at, 2, 0, 23, &ignored) || !skip(text, at, ':')) return false;
  if (!read_part(text, at, 2, 0, 59, &ignored) || !skip(text, at, ':')) return false;
  if (!read_part(text, at, 2, 0, 59, &ignored)) return false;
  if (at < text.size() && (text[at] == '.' || text[at] == ',')) {
    const std::size_t end = skip_digits(text, at + 1);
    if (end == at + 1) return false;
    at = end;
  }
  if (separator == ' ' || at == text.size()) return separator == ' ' && at == text.size();
  if (skip(text, at, 'Z')) return at == text.size();
  if (!skip(text, at, '+') && !skip(text, at, '-')) return false;
  const std::size_t zone = at;
  return read_part(text, at, 2, 0, 24, &ignored) && at == zone + 2 && skip(text, at, ':') &&
         read_part(text, at, 2, 0, 60, &ignored) && at == text.size() && at == zone + 5;
}

bool resolve_word(std::string_view text, YamlScalar& out) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) {
    out.tag = yaml_tag::kNull;
  } else if (one_of(text, {"true", "True", "TRUE", "false", "False", "FALSE"})) {
    out.tag = yaml_tag::kBool;
    out.boolean = text[0] == 't' || text[0] == 'T';
  } else if (one_of(text, {".nan", ".NaN", ".NAN"})) {
    out.tag = yaml_tag::kFloat;
    out.real = std::nan("");
  } else if (one_of(text, {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"})) {
    out.tag = yaml_tag::kFloat;
    out.real = HUGE_VAL;
  } else if (one_of(text, {"-.inf", "-.Inf", "-.INF"})) {
    out.tag = yaml_tag::kFloat;
    out.real = -HUGE_VAL;
  } else {
    return false;
  }
  return true;
}

}  // namespace

YamlScalar resolve_scalar(std::string_view tag, std::string_view text) {
  YamlScalar out;
  out.tag = yaml_tag::kText;
  if (tag == yaml_tag::kText || tag == yaml_tag::kBinary) return out;
  if (resolve_word(text, out)) return out;
  const char first = text[0];
  if (first == '.') {
    if (read_float(text, out.real)) out.tag = yaml_tag::kFloat;
    return out;
  }
  if (first != '+' && first != '-' && !is_digit(first)) return out;
  if ((tag.empty() || tag == yaml_tag::kTimestamp) && is_timestamp(text)) {
    out.tag = yaml_tag::kTimestamp;
    return out;
  }
  std::string plain;
  for (char c : text)
    if (c != '_') plain += c;
  if (read_integer(plain, out)) {
    out.tag = yaml_tag::kInt;
  } else if (read_float(plain, out.real)) {
    out.tag = yaml_tag::kFloat;
  }
  return out;
}

bool resolve_node(const YamlNode& node, YamlScalar& out, std::string& error) {
  if (node.tag == yaml_tag::kText || node.tag == yaml_tag::kMerge) {
    out = YamlScalar{};
    out.tag = yaml_tag::kText;
    return true;
  }
  out = resolve_scalar(node.tag, node.value);
  if (!node.explicit_tag || node.tag == out.tag || node.tag == yaml_tag::kBinary) return true;
  if (node.tag == yaml_tag::kFloat && out.tag == yaml_tag::kInt) {
    out.real = out.is_unsigned ? static_cast<double>(out.unsigned_integer)
                               : static_cast<double>(out.integer);
    out.tag = yaml_tag::kFloat;
    return true;
  }
  error = "cannot decode " + std::string(out.tag) + " `" + node.value + "` as a " +
          std::string(node.tag);
  return false;
}

}  // namespace iron::policy
