#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/client/client_session.h"

namespace iron::proxy {

/// SOCKS5 messages of a client (RFC 1928), parsed from whatever has arrived; no I/O.
struct SocksGreeting {
  enum class State { incomplete, accepted, no_method, malformed } state = State::incomplete;
  std::size_t consumed = 0;
};
SocksGreeting parse_socks_greeting(std::string_view bytes);

struct SocksRequest {
  enum class State {
    incomplete,
    accepted,
    bad_command,
    bad_address_type,
    malformed
  } state = State::incomplete;
  std::size_t consumed = 0;
  std::string host;  ///< as text; IPv6 without brackets, IPv4-mapped as IPv4
  std::uint16_t port = 0;
  bool is_ipv6 = false;
};
SocksRequest parse_socks_request(std::string_view bytes);

/// Ten-byte reply with an unspecified bound address.
std::string socks_reply(std::uint8_t code);

/// Serves a client whose first byte was 5: greeting, request, policy check. True: the tunnel is
/// open.
Task<bool> serve_socks5(ClientSession& session);

}  // namespace iron::proxy
