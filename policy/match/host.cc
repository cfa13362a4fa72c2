#include "policy/match/host.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace iron::policy {
namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr bool is_host_char(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' || c == '.';
}

/// The part of `text` that may be a name; the rest should be a port.
std::string_view host_part(std::string_view text) {
  static constexpr auto kHostChars = [] {
    std::array<bool, 256> table{};
    for (int c = 0; c < 256; ++c) {
      table[static_cast<std::size_t>(c)] = is_host_char(static_cast<char>(c));
    }
    return table;
  }();
  std::size_t size = 0;
  while (size < text.size() && kHostChars[static_cast<unsigned char>(text[size])]) ++size;
  return text.substr(0, size);
}

/// Text after the host: empty, `:`, or `:` and a port.
bool parse_port(std::string_view text, std::optional<std::uint16_t>& port) {
  if (text.empty() || text == ":") return true;
  if (text.front() != ':') return false;
  text.remove_prefix(1);
  constexpr std::size_t kLongest = 5;
  if (text.size() > kLongest || !std::ranges::all_of(text, is_digit)) return false;
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  if (value == 0 || value > 65535) return false;
  port = static_cast<std::uint16_t>(value);
  return true;
}

void fold(std::string_view host, std::string& out) {
  if (host.ends_with('.')) host.remove_suffix(1);
  out.assign(host);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
}

bool assign_bracketed(std::string_view text, Authority& authority) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return false;
  const std::string_view inner = text.substr(1, close - 1);
  // Without a colon it could only be an IPv4 address, which takes no brackets.
  if (inner.find(':') == std::string_view::npos) return false;
  authority.literal = IpAddress::parse(inner);
  if (!authority.literal || !parse_port(text.substr(close + 1), authority.port)) return false;
  fold(inner, authority.host);
  return true;
}

/// Dots alone would fold to something that looks like no host at all, and of two dots at the end
/// some resolvers drop one more than the rules did.
bool has_labels(std::string_view name) {
  return name.find_first_not_of('.') != name.npos && !name.ends_with("..");
}

}  // namespace

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower;
}

std::string fold_host(std::string_view host) {
  std::string folded;
  fold(host, folded);
  return folded;
}

bool Authority::assign(std::string_view text) {
  host.clear();
  port.reset();
  literal.reset();
  if (text.empty()) return true;
  if (text.front() == '[') return assign_bracketed(text, *this);
  const std::string_view name = host_part(text);
  if (!has_labels(name)) return false;
  if (!parse_port(text.substr(name.size()), port)) return false;
  fold(name, host);
  literal = IpAddress::parse(host);
  return true;
}

bool Authority::acceptable(std::string_view text) {
  if (text.empty()) return true;
  Authority scratch;
  if (text.front() == '[') return assign_bracketed(text, scratch);
  const std::string_view name = host_part(text);
  return has_labels(name) && parse_port(text.substr(name.size()), scratch.port);
}

std::optional<Authority> Authority::parse(std::string_view text) {
  Authority authority;
  if (!authority.assign(text)) return std::nullopt;
  return authority;
}

}  // namespace iron::policy
