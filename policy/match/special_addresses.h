#pragma once

#include <optional>

#include "policy/match/deny_list.h"

namespace iron::policy {

/// The block that makes `address` special, or nothing: what the IANA IPv4 and IPv6 special-purpose
/// address registries do not call globally reachable, multicast, broadcast, and the metadata
/// addresses of cloud providers. The table is in special_addresses.cc with its date.
std::optional<DenyList::Prefix> special_block(const IpAddress& address);

}  // namespace iron::policy
