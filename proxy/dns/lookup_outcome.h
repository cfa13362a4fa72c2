#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/match/ip_address.h"

namespace iron::proxy {

/// What came of looking a name up.
struct LookupOutcome {
  /// `no_such_name`: the name does not exist; `no_addresses`: it exists without addresses;
  /// `failed`: nobody knows.
  enum class Status { found, no_such_name, no_addresses, failed } status = Status::failed;
  std::vector<policy::IpAddress> addresses;  ///< of `found`: in the order to try, never empty
  std::string error;                         ///< otherwise: `lookup NAME on SERVER: REASON`
  /// False with `found` alone: these are the addresses of one kind, the name server is slow about
  /// the other, and the lookup tells a second outcome, a complete one, when it ends (RFC 8305
  /// section 3).
  bool complete = true;
  /// How long a complete outcome of name servers may be used again; nothing: not at all, because it
  /// is a failure, comes from elsewhere, or nobody knows whether it is all.
  std::optional<std::chrono::seconds> ttl{};

  /// `found`, IPv4 addresses in front.
  static LookupOutcome of(const std::vector<policy::IpAddress>& addresses);
  static LookupOutcome failure(std::string error) { return {Status::failed, {}, std::move(error)}; }
};

/// `lookup NAME on SERVER: REASON`, without `on SERVER` if there is none.
std::string lookup_error(const std::string& name,
                         const std::string& server,
                         const std::string& reason);

}  // namespace iron::proxy
