#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/match/ip_address.h"

namespace iron::policy {

/// `proxy.upstream_deny_cidrs`: addresses that are never dialled. Immutable; check() is called on
/// the exact address given to connect. See docs/policy.md, "Denied addresses".
class DenyList {
 public:
  DenyList() = default;
  /// `cidrs` as configured and already validated; `special` adds `proxy.deny_special_addresses`.
  /// Throws ConfigError with the text of docs/configuration.md for an invalid entry.
  explicit DenyList(const std::vector<std::string>& cidrs, bool special = false);

  struct Hit {
    IpAddress address;   ///< the address that hit: the one dialled, or one embedded in it
    std::string prefix;  ///< masked prefix as text
  };
  /// Checks the address, the unspecified address as loopback, and the IPv4 address embedded in
  /// NAT64, 6to4, Teredo, ISATAP and IPv4-compatible forms.
  std::optional<Hit> check(const IpAddress& address) const;
  bool empty() const { return prefixes_.empty() && !special_; }

  /// A masked prefix; used by the allowlist's CIDRs too.
  struct Prefix {
    IpAddress network;
    int bits = 0;
    /// Masks the host bits of `address`. IPv4-mapped text with at least 96 bits becomes IPv4.
    static Prefix of(const AddressText& address, int bits);
    bool contains(const IpAddress& address) const;  ///< never across families
    std::string text() const;
  };

 private:
  void deny_metadata();
  std::optional<Hit> check_plain(const IpAddress& address) const;
  std::optional<Hit> check_as_loopback(const IpAddress& address) const;

  std::vector<Prefix> prefixes_;
  bool special_ = false;
};

/// `denied by upstream_deny_cidrs: 127.0.0.1 in 127.0.0.0/8`
std::string denial_text(const DenyList::Hit& hit);

}  // namespace iron::policy
