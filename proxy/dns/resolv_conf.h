#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/match/ip_address.h"

namespace iron::proxy::dns {

/// What resolv.conf(5) says, as far as lookups follow it. A value.
struct ResolvConf {
  std::vector<policy::IpAddress> servers;  ///< never empty: loopback if the file names none
  std::vector<std::string> search;         ///< each with its final dot
  int ndots = 1;
  int attempts = 2;
  std::chrono::seconds timeout{5};

  /// `host` is the machine's name: its domain is searched when the file has no list.
  static ResolvConf parse(std::string_view text, std::string_view host);
  /// Names to ask for, each with its final dot, in this order. Empty if there is nothing to ask.
  std::vector<std::string> names_for(std::string_view name) const;
};

/// hosts(5): names to addresses in the order of the file. A value.
class HostsFile {
 public:
  static HostsFile parse(std::string_view text);
  /// Null if the name is not there; case and a final dot do not matter.
  const std::vector<policy::IpAddress>* find(std::string_view name) const;

 private:
  std::unordered_map<std::string, std::vector<policy::IpAddress>> addresses_;
};

/// Sources on the `hosts` line of nsswitch.conf(5) beyond `files` and `dns`: modules of the C
/// library.
std::vector<std::string> lookup_modules(std::string_view nsswitch);

/// Whether the `hosts` line of nsswitch.conf(5) names sources beyond `files` and `dns`: then the C
/// library is asked, because it alone knows them.
bool needs_system_lookup(std::string_view nsswitch);

/// Letters, digits, `-`, `_` in labels of at most 63 bytes that neither begin nor end with `-`, and
/// not digits alone: anything else is not asked for.
bool is_domain_name(std::string_view name);

}  // namespace iron::proxy::dns
