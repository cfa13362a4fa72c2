#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace iron::tls {

/// Looks at the first bytes of a TLS connection without consuming them (sni-only mode).
struct ClientHello {
  enum class State { incomplete, complete, not_tls };
  State state = State::incomplete;
  std::string server_name;  ///< as sent; empty if there was none or it was an IP address
  std::string address;      ///< the IP address that was sent as a name (RFC 6066 forbids it)
};

/// At most 16 KiB are looked at; a longer hello is `not_tls`.
ClientHello peek_client_hello(std::string_view bytes);

}  // namespace iron::tls
