#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/ip_address.h"

namespace iron::policy {

/// A host and port as they stood in a Host field, an absolute-form authority or a CONNECT target.
/// Accepted: a DNS name (letters, digits, `-`, `_`, dots), a dotted quad, or a bracketed IPv6
/// address without zone, then an optional decimal port 1..65535 (`h:` counts as no port). Nothing
/// else: one parse decides what is matched, resolved and verified (docs/policy.md, "One target").
struct Authority {
  std::string
      host;  ///< folded: ASCII lower case, no trailing dot, no brackets; empty if there was none
  std::optional<std::uint16_t> port;
  std::optional<IpAddress> literal;  ///< set when the host is an address

  /// `std::nullopt` when the text is not acceptable. An empty text gives an empty host.
  static std::optional<Authority> parse(std::string_view text);
  /// The same into this object, whose host keeps its capacity. False: not acceptable, the content
  /// then means nothing.
  bool assign(std::string_view text);
  /// Whether assign() would take it; makes nothing.
  static bool acceptable(std::string_view text);
};

/// `text` with A to Z in lower case.
std::string ascii_lower(std::string_view text);

/// Lower case ASCII without one trailing dot.
std::string fold_host(std::string_view host);

/// What rules are matched against.
struct Subject {
  std::string_view host;             ///< folded as in Authority
  std::optional<IpAddress> literal;  ///< when the host is an address
  std::string_view method;  ///< as received; `CONNECT` for tunnel checks, empty in sni-only mode
  std::string_view path;    ///< percent-decoded
  /// The path decoded except for %2F and %5C; only set where the raw path holds one of them.
  std::optional<std::string_view> path_kept;
  /// The same two without literal `.` segments, as an origin may read them (RFC 3986 section
  /// 5.2.4); only set where the path holds such segments.
  std::optional<std::string_view> path_reduced, path_kept_reduced;
  bool tunnel_check = false;  ///< CONNECT or SOCKS5 check in mitm mode
};

}  // namespace iron::policy
