#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/match/deny_list.h"
#include "policy/match/ip_address.h"

namespace iron::policy {

/// Targets that are reached without a parent proxy: a comma list as in the variable `NO_PROXY`
/// (docs/configuration.md, "Parent proxies"). Immutable.
class NoProxy {
 public:
  NoProxy() = default;
  /// Entries that are no host, address or prefix match nothing.
  explicit NoProxy(std::string_view list);

  /// `host` is folded. `localhost` and loopback addresses always match: a parent's own are never
  /// meant.
  bool matches(std::string_view host,
               const std::optional<IpAddress>& literal,
               std::uint16_t port) const;

 private:
  struct Entry {
    std::optional<DenyList::Prefix> prefix;  ///< of addresses; else the name counts
    std::string name;
    bool itself = true;  ///< the name too, not only what is below it
    std::optional<std::uint16_t> port;
  };
  void add(std::string_view text);
  static bool matches(const Entry& entry,
                      std::string_view host,
                      const std::optional<IpAddress>& literal);

  std::vector<Entry> entries_;
  bool all_ = false;
};

}  // namespace iron::policy
