#include "transforms/header_name.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "policy/config_error.h"
#include "policy/http_message.h"
#include "policy/quote.h"

namespace iron::transforms {
namespace {

constexpr std::array<bool, 256> kTokenBytes = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  for (unsigned char c : std::string_view("!#$%&'*+-.^_`|~")) table[c] = true;
  return table;
}();

char canonical_byte(char byte, bool word_start) {
  if (word_start && byte >= 'a' && byte <= 'z') return static_cast<char>(byte - 'a' + 'A');
  if (!word_start && byte >= 'A' && byte <= 'Z') return static_cast<char>(byte - 'A' + 'a');
  return byte;
}

/// Texts as the configuration's users know them; the engine words some differently.
std::string_view regex_fault(re2::RE2::ErrorCode code) {
  switch (code) {
    case re2::RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass:
      return "invalid character class";
    case re2::RE2::ErrorBadCharRange:
      return "invalid character class range";
    case re2::RE2::ErrorMissingBracket:
      return "missing closing ]";
    case re2::RE2::ErrorMissingParen:
      return "missing closing )";
    case re2::RE2::ErrorUnexpectedParen:
      return "unexpected )";
    case re2::RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadUTF8:
      return "invalid UTF-8";
    case re2::RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    case re2::RE2::ErrorPatternTooLarge:
      return "expression too large";
    default:
      return "regexp/syntax: internal error";
  }
}

}  // namespace

bool is_token(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return kTokenBytes[static_cast<unsigned char>(c)];
  });
}

void append_canonical_name(std::string& out, std::string_view name) {
  if (!is_token(name)) {
    out += name;
    return;
  }
  bool word_start = true;
  for (char c : name) {
    out += canonical_byte(c, word_start);
    word_start = c == '-';
  }
}

std::string canonical_name(std::string_view name) {
  std::string out;
  append_canonical_name(out, name);
  return out;
}

int compare_canonical(std::string_view a, std::string_view b) {
  bool word_start = true;
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto x = static_cast<unsigned char>(canonical_byte(a[i], word_start));
    const auto y = static_cast<unsigned char>(canonical_byte(b[i], word_start));
    if (x != y) return x < y ? -1 : 1;
    word_start = x == '-';
  }
  if (a.size() == b.size()) return 0;
  return a.size() < b.size() ? -1 : 1;
}

bool is_credential_field(std::string_view name) {
  static constexpr std::string_view kNames[] = {"Authorization", "Proxy-Authorization", "Cookie",
                                                "X-Api-Key", "Api-Key"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](std::string_view known) { return iequals(name, known); });
}

bool is_outside_field_set(std::string_view name) {
  return iequals(name, "Host") || iequals(name, "Transfer-Encoding");
}

HeaderMatcher::HeaderMatcher() = default;
HeaderMatcher::~HeaderMatcher() = default;
HeaderMatcher::HeaderMatcher(HeaderMatcher&&) noexcept = default;
HeaderMatcher& HeaderMatcher::operator=(HeaderMatcher&&) noexcept = default;

void HeaderMatcher::add(const std::string& entry, std::string_view key) {
  Item item;
  if (entry.size() < 2 || entry.front() != '/' || entry.back() != '/') {
    item.literal = entry;
    items_.push_back(std::move(item));
    return;
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  const std::string pattern = "(?i)" + entry.substr(1, entry.size() - 2);
  item.regex = std::make_unique<re2::RE2>(pattern, options);
  if (!item.regex->ok()) {
    throw policy::ConfigError(
        "invalid " + std::string(key) + " regex " + policy::quoted(entry) +
        ": error parsing regexp: " + std::string(regex_fault(item.regex->error_code())) + ": `" +
        item.regex->error_arg() + "`");
  }
  has_regex_ = true;
  items_.push_back(std::move(item));
}

std::optional<std::uint32_t> HeaderMatcher::find(std::string_view name) const {
  std::string canonical;
  if (has_regex_) append_canonical_name(canonical, name);
  for (std::uint32_t i = 0; i < items_.size(); ++i) {
    const Item& item = items_[i];
    const bool found =
        item.regex ? re2::RE2::PartialMatch(canonical, *item.regex) : iequals(item.literal, name);
    if (found) return i;
  }
  return std::nullopt;
}

}  // namespace iron::transforms
