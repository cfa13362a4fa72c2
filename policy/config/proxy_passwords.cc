#include "policy/config/proxy_passwords.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace iron::policy {
namespace {

// The last is the block, for which a URL may be given by mistake.
constexpr std::string_view kKeys[] = {"http_proxy", "https_proxy", "upstream_proxy"};
constexpr std::string_view kEnd = "_proxy";
constexpr char kMask = 'x';

struct Range {
  std::size_t begin = 0, end = 0;
};

std::size_t skip_blanks(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(" \t", at), text.size());
}

/// The scalar behind the key that ends at `at`, without its quotes; nothing if there is none that
/// is written as it is.
std::optional<Range> value_behind(std::string_view text, std::size_t at) {
  if (at < text.size() && (text[at] == '"' || text[at] == '\'')) ++at;
  at = skip_blanks(text, at);
  if (at == text.size() || text[at] != ':') return std::nullopt;
  at = skip_blanks(text, at + 1);
  if (at == text.size()) return std::nullopt;
  const bool quoted = text[at] == '"' || text[at] == '\'';
  const std::string_view ends = text[at] == '"' ? "\"\r\n" : quoted ? "'\r\n" : " \t\r\n";
  if (quoted) ++at;
  Range value{at, std::min(text.find_first_of(ends, at), text.size())};
  const std::string_view bytes = text.substr(value.begin, value.end - value.begin);
  if (quoted && bytes.find('\\') != bytes.npos) return std::nullopt;
  // In single quotes two of them are one.
  if (quoted && text.substr(value.end).starts_with("''")) return std::nullopt;
  return value;
}

/// The password in the URL `value` of `text`.
std::optional<Range> password_in(std::string_view text, const Range& value) {
  const std::string_view url = text.substr(value.begin, value.end - value.begin);
  const std::size_t mark = url.find("://");
  const std::size_t begin = mark == url.npos ? 0 : mark + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", begin), url.size());
  const std::size_t colon = url.find(':', begin), at = url.substr(0, end).rfind('@');
  if (colon == url.npos || at == url.npos || at <= colon + 1) return std::nullopt;
  return Range{value.begin + colon + 1, value.begin + at};
}

}  // namespace

ProxyPasswords::ProxyPasswords(std::string& text) {
  int line = 1;
  std::size_t counted = 0;
  for (std::size_t at = text.find(kEnd); at != text.npos; at = text.find(kEnd, at + 1)) {
    const std::size_t end = at + kEnd.size();
    const auto* const key = std::ranges::find_if(kKeys, [&](std::string_view name) {
      return std::string_view(text).substr(0, end).ends_with(name);
    });
    if (key == std::end(kKeys)) continue;
    const auto value = value_behind(text, end);
    const auto password = value ? password_in(text, *value) : std::nullopt;
    if (!password) continue;
    const auto from = text.begin() + static_cast<std::ptrdiff_t>(counted);
    const auto to = text.begin() + static_cast<std::ptrdiff_t>(end);
    line += static_cast<int>(std::count(from, to, '\n'));
    counted = end;
    const std::string_view url(text.data() + value->begin, value->end - value->begin);
    kept_.push_back({*key, line, Secret::copy_of(url)});
    const std::span<char> hidden(text.data() + password->begin, password->end - password->begin);
    wipe(hidden);
    std::memset(hidden.data(), kMask, hidden.size());
  }
}

std::string_view ProxyPasswords::url(std::string_view key, int line, std::string_view read) const {
  for (const Kept& kept : kept_) {
    if (kept.key != key || kept.line != line) continue;
    // Behind a value in flow style stands more than YAML takes for it.
    const std::string_view url = kept.url.reveal().substr(0, read.size());
    const auto alike = [](char a, char b) { return a == b || b == kMask; };
    if (url.size() == read.size() && std::ranges::equal(url, read, alike)) return url;
  }
  return read;
}

}  // namespace iron::policy
