#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/match/host.h"
#include "policy/match/rules.h"

namespace iron::policy {

/// One entry of `proxy.passthrough` as configured: a host pattern or a CIDR prefix, empty where it
/// was not given. The lines are those of the file.
struct PassThroughEntry {
  std::string host, cidr;
  std::vector<std::int64_t> ports = {443};
  int line = 0, host_line = 0, cidr_line = 0, ports_line = 0;
  std::vector<int> port_lines;
  friend bool operator==(const PassThroughEntry&, const PassThroughEntry&) = default;
};

/// The targets of `proxy.passthrough`: connections to them are relayed without a look inside
/// (docs/policy.md, "Pass-through"). Immutable.
class PassThroughList {
 public:
  PassThroughList() = default;
  /// Entries that check() refuses match nothing.
  explicit PassThroughList(const std::vector<PassThroughEntry>& entries);
  /// Throws ConfigError, which names key, line and value.
  static void check(const std::vector<PassThroughEntry>& entries);

  bool empty() const { return targets_.empty(); }
  /// A prefix matches addresses only; what is no host at all matches nothing.
  bool matches(const Authority& authority, std::uint16_t port) const;
  /// Whether `rule` may name a host that is relayed: true also where that is not certain.
  bool touches(const Rule& rule) const;

 private:
  struct Target {
    Rule rule;
    std::vector<std::uint16_t> ports;
  };
  std::vector<Target> targets_;
};

}  // namespace iron::policy
