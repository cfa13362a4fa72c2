#pragma once

#include <string>
#include <string_view>

#include "policy/http_message.h"
#include "proxy/http/message_checks.h"
#include "transforms/exchange.h"

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

/// Framing the upstream request is written with.
struct UpstreamFraming {
  enum class Kind { as_received, none, length, chunked } kind = Kind::as_received;
  std::uint64_t length = 0;
};
/// Upper bound of what write_request_head will write.
std::size_t request_head_bound(const transforms::Exchange& exchange, std::string_view host);
struct WrittenHead {
  char* end = nullptr;
  /// A rewritten field holds credentials that authenticate the connection; of the others
  /// HopByHop tells it.
  bool connection_login = false;
};
/// Writes the head for the upstream to `out` (secret memory). `host`: value of the Host field.
WrittenHead write_request_head(const transforms::Exchange& exchange,
                               std::string_view host,
                               const UpstreamFraming& framing,
                               char* out);

/// How an answer is framed towards the client.
enum class ClientFraming { none, length, chunked, close };
struct ResponseHeadOptions {
  int client_minor = 1;
  ClientFraming framing = ClientFraming::none;
  bool drop_length = false;  ///< the upstream's Content-Length does not hold (204, re-framed)
  bool close = false;        ///< add `Connection: close`
  bool keep_alive_10 = false;
  bool upgrade = false;          ///< a 101: Connection and Upgrade are added if missing
  std::int64_t new_length = -1;  ///< Content-Length to write instead, when not negative
};
void write_response_head(const Response& response,
                         const ResponseHeadOptions& options,
                         std::string& out);

}  // namespace iron::proxy
