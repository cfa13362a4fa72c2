#include "policy/match/pass_through.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "policy/config_error.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

constexpr std::int64_t kLastPort = 65535;
constexpr std::string_view kSpecial = "*?[]\\";

std::string at_line(int line) { return " (line " + std::to_string(line) + ")"; }

void check_entry(const PassThroughEntry& entry, const std::string& key) {
  if (entry.host.empty() && entry.cidr.empty()) {
    throw ConfigError(key + ": one of host or cidr is required; got neither" + at_line(entry.line));
  }
  if (!entry.host.empty() && !entry.cidr.empty()) {
    throw ConfigError(key + ": host and cidr are mutually exclusive; got " + quoted(entry.host) +
                      " and " + quoted(entry.cidr) + at_line(entry.line));
  }
  if (!entry.cidr.empty()) {
    try {
      static_cast<void>(parse_rule_cidr(entry.cidr));
    } catch (const ConfigError& error) {
      throw ConfigError(key + ".cidr: " + error.text() + at_line(entry.cidr_line));
    }
  }
  if (entry.ports.empty()) {
    throw ConfigError(key + ".ports must not be empty; got []" + at_line(entry.ports_line));
  }
  for (std::size_t i = 0; i < entry.ports.size(); ++i) {
    if (entry.ports[i] >= 1 && entry.ports[i] <= kLastPort) continue;
    const int line = i < entry.port_lines.size() ? entry.port_lines[i] : entry.line;
    throw ConfigError(key + ".ports[" + std::to_string(i) + "] must be 1 to 65535; got " +
                      std::to_string(entry.ports[i]) + at_line(line));
  }
}

bool ends_alike(std::string_view a, std::string_view b) {
  return a.size() > b.size() ? a.ends_with(b) : b.ends_with(a);
}

bool begins_alike(std::string_view a, std::string_view b) {
  return a.size() > b.size() ? a.starts_with(b) : b.starts_with(a);
}

/// What every host begins with that the pattern matches.
std::string_view head_of(const HostPattern& pattern) {
  if (pattern.kind() != HostPattern::Kind::glob) return {};
  return std::string_view(pattern.text()).substr(0, pattern.text().find_first_of(kSpecial));
}

/// What every such host ends with.
std::string_view tail_of(const HostPattern& pattern) {
  if (pattern.kind() != HostPattern::Kind::glob) return pattern.text();
  return std::string_view(pattern.text()).substr(pattern.text().find_last_of(kSpecial) + 1);
}

bool overlap(const HostPattern& a, const HostPattern& b) {
  using Kind = HostPattern::Kind;
  if (a.kind() == Kind::exact) return b.matches(a.text());
  if (b.kind() == Kind::exact) return a.matches(b.text());
  if (a.kind() == Kind::any || b.kind() == Kind::any) return true;
  return begins_alike(head_of(a), head_of(b)) && ends_alike(tail_of(a), tail_of(b));
}

bool overlap(const HostPattern& pattern, const DenyList::Prefix& prefix) {
  if (pattern.kind() == HostPattern::Kind::any) return true;
  const auto literal = IpAddress::parse(pattern.text());
  if (pattern.kind() == HostPattern::Kind::exact) return literal && prefix.contains(*literal);
  // Of an address in the prefix the first text is tried: globs over addresses are written so.
  return pattern.matches(prefix.network.text());
}

bool overlap(const Rule& a, const Rule& b) {
  if (a.host && b.host) return overlap(*a.host, *b.host);
  if (a.host) return overlap(*a.host, *b.cidr);
  if (b.host) return overlap(*b.host, *a.cidr);
  return a.cidr->contains(b.cidr->network) || b.cidr->contains(a.cidr->network);
}

}  // namespace

PassThroughList::PassThroughList(const std::vector<PassThroughEntry>& entries) {
  for (const PassThroughEntry& entry : entries) {
    try {
      check_entry(entry, {});
    } catch (const ConfigError&) {
      continue;
    }
    Target& target = targets_.emplace_back();
    if (entry.cidr.empty()) {
      target.rule.host.emplace(entry.host);
    } else {
      target.rule.cidr = parse_rule_cidr(entry.cidr);
    }
    for (const std::int64_t port : entry.ports) {
      target.ports.push_back(static_cast<std::uint16_t>(port));
    }
  }
}

void PassThroughList::check(const std::vector<PassThroughEntry>& entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    check_entry(entries[i], "proxy.passthrough[" + std::to_string(i) + "]");
  }
}

bool PassThroughList::matches(const Authority& authority, std::uint16_t port) const {
  if (authority.host.empty()) return false;
  Subject subject;
  subject.host = authority.host;
  subject.literal = authority.literal;
  return std::ranges::any_of(targets_, [&](const Target& target) {
    return std::ranges::find(target.ports, port) != target.ports.end() &&
           target.rule.matches_host(subject);
  });
}

bool PassThroughList::touches(const Rule& rule) const {
  return std::ranges::any_of(targets_,
                             [&](const Target& target) { return overlap(target.rule, rule); });
}

}  // namespace iron::policy
