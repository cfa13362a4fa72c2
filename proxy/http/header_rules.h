#pragma once

#include <string>
#include <string_view>

#include "policy/http_message.h"
#include "proxy/http/message_checks.h"

namespace iron::proxy {

/// What the fields of a message say of its connection.
struct HopByHop {
  bool close = false;       ///< Connection: close
  bool keep_alive = false;  ///< Connection: keep-alive
  bool te_trailers = false;
  bool connection_login = false;  ///< credentials that authenticate the connection

  /// Whether the connection is to go on behind a message of HTTP/1.`minor_version` (RFC 9112
  /// section 9.3).
  bool persistent(int minor_version) const { return !close && (minor_version == 1 || keep_alive); }
};
HopByHop read_connection(const Headers& headers);
/// Host and what frames a body: nothing that a connection may keep for itself.
inline bool is_framing_or_host(std::string_view name) {
  switch (name.size()) {  // of the 13 fields of a usual exchange two come further
    case 4:
      return iequals(name, "Host");
    case 14:
      return iequals(name, "Content-Length");
    case 17:
      return iequals(name, "Transfer-Encoding");
    default:
      return false;
  }
}
/// Removes the hop-by-hop fields of a client's request (RFC 9110 section 7.6.1): Connection and
/// what it names except Host and the framing fields, Keep-Alive,
/// Proxy-Connection/-Authenticate/-Authorization, Trailer, Upgrade, and TE unless it has
/// `trailers`, which becomes `TE: trailers`. With `upgrade`, `Connection: Upgrade` and `Upgrade:
/// websocket` stay in place.
void strip_request(Headers& headers, bool upgrade);
/// The same for an answer; `keep_trailer` leaves the Trailer field.
void strip_response(Headers& headers, bool keep_trailer);
/// The same for the 101 of a WebSocket: `Connection: Upgrade` and `Upgrade: websocket` stay in
/// their places.
void strip_switching(Headers& headers);

/// Whether the request is a WebSocket upgrade that may be passed on (RFC 6455 section 4.1).
bool is_websocket_upgrade(const Request& request, const BodyFraming& framing);
/// Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

/// The type of its body says that its sender is silent for as long as it likes: event streams,
/// gRPC.
bool may_be_silent(const Headers& headers);

}  // namespace iron::proxy
