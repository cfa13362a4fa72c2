#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/ip_address.h"
#include "policy/result.h"

namespace iron::policy {

enum class Transport { tcp, udp };

/// `[host]:port` cut in two; brackets are gone.
struct HostAndPort {
  std::string host;
  std::string port;
};
/// Fails with `address 127.0.0.1: missing port in address` and the like (docs/configuration.md,
/// "Listen addresses").
Result<HostAndPort> split_host_port(std::string_view text);

/// A port number (empty: 0) or the name of a service. Fails with `address 99999: invalid port` or
/// `lookup tcp/nope: unknown port`.
Result<std::uint16_t> parse_port(const std::string& text, Transport transport);

/// A place to listen on.
struct ListenAddress {
  /// Unset: all addresses of the machine, over IPv6 and IPv4 (one dual-stack socket).
  std::optional<IpAddress> address;
  std::uint32_t scope = 0;  ///< interface of a link-local IPv6 address
  std::uint16_t port = 0;
  /// As error texts name it behind `listen tcp `: `127.0.0.1:80`, `[::]:80`, `:80`.
  std::string text;
};

/// Parses a listen address and resolves its names (this may block: start only). Fails with the
/// whole text `listen tcp: address …`.
Result<ListenAddress> resolve_listen_address(const std::string& text, Transport transport);

}  // namespace iron::policy
