#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/ip_address.h"
#include "policy/result.h"

namespace iron::policy {

/// An absolute `http` or `https` URL (RFC 3986) that a configuration or an answer names. Parsed
/// once; nothing of it is decoded but the host, which is folded.
struct Url {
  bool https = false;
  std::string host;                  ///< folded, no brackets
  std::optional<IpAddress> literal;  ///< when the host is an address
  std::uint16_t port = 0;            ///< the scheme's where none was written
  std::string authority;             ///< as written, without a user: the value of a Host field
  std::string path;                  ///< raw; `/` where none was written
  std::string query;                 ///< raw, without `?`
  bool has_query = false;

  /// Errors read `parse "URL": REASON`, or `"URL" has no host`. A user in front of the host, and
  /// other schemes, are errors.
  static Result<Url> parse(std::string_view text);
  /// Where a `Location` leads that an answer of this URL had (RFC 3986 section 5.2).
  Result<Url> resolve(std::string_view location) const;
  std::string text() const;
};

}  // namespace iron::policy
