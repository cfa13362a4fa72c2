#include "policy/match/no_proxy.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "policy/match/host.h"

namespace iron::policy {
namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::optional<int> number(std::string_view digits, int most) {
  int value = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, value);
  if (digits.empty() || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value >= 0 && value <= most ? std::optional(value) : std::nullopt;
}

std::optional<DenyList::Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address_text(text.substr(0, slash));
  if (!address) return std::nullopt;
  const int most = address->v4 ? 32 : 128;
  if (slash == text.npos) return DenyList::Prefix::of(*address, most);
  const auto bits = number(text.substr(slash + 1), most);
  return bits ? std::optional(DenyList::Prefix::of(*address, *bits)) : std::nullopt;
}

bool is_loopback(const IpAddress& address) {
  if (address.is_v4()) return address.bytes()[0] == 127;
  return address == IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

/// Takes `:port` off the end. False: what stands there is no port.
bool take_port(std::string_view& text, std::optional<std::uint16_t>& port) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return true;
  const auto value = number(text.substr(colon + 1), 65535);
  if (!value) return false;
  port = static_cast<std::uint16_t>(*value);
  text = text.substr(0, colon);
  return true;
}

}  // namespace

NoProxy::NoProxy(std::string_view list) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    add(trimmed(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

void NoProxy::add(std::string_view text) {
  if (text == "*") all_ = true;
  if (text.empty() || text == "*") return;
  Entry entry;
  entry.prefix = parse_prefix(text);
  if (!entry.prefix) {
    if (!take_port(text, entry.port)) return;
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    entry.prefix = parse_prefix(text);
  }
  if (!entry.prefix) {
    if (text.starts_with("*.")) text.remove_prefix(1);
    if (text.starts_with('.')) {
      entry.itself = false;
      text.remove_prefix(1);
    }
    entry.name = fold_host(text);
    if (entry.name.empty()) return;
  }
  entries_.push_back(std::move(entry));
}

bool NoProxy::matches(const Entry& entry,
                      std::string_view host,
                      const std::optional<IpAddress>& literal) {
  if (entry.prefix) return literal && entry.prefix->contains(*literal);
  if (literal || !host.ends_with(entry.name)) return false;
  if (host.size() == entry.name.size()) return entry.itself;
  return host[host.size() - entry.name.size() - 1] == '.';
}

bool NoProxy::matches(std::string_view host,
                      const std::optional<IpAddress>& literal,
                      std::uint16_t port) const {
  if (all_ || host == "localhost" || (literal && is_loopback(*literal))) return true;
  return std::ranges::any_of(entries_, [&](const Entry& entry) {
    return entry.port.value_or(port) == port && matches(entry, host, literal);
  });
}

}  // namespace iron::policy
