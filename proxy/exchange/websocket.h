#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "policy/duration.h"
#include "policy/http_message.h"
#include "policy/task.h"
#include "proxy/http/client_stream.h"
#include "proxy/http/upstream_stream.h"

namespace iron::proxy {

/// Whether a 101 proves that its sender read the key of `request` (RFC 6455 section 4.2.2).
bool accepts_websocket(const Response& response, const Request& request);

/// What a WebSocket's record says of it.
struct WebSocketEnd {
  std::uint64_t up = 0, down = 0;  ///< bytes
  std::string_view silence;        ///< of a peer that took nothing; empty: none
};

/// Relays between the two ends of a connection that was switched, until both ended. `record` is
/// called once, before the client is told of the end.
Task<void> relay_websocket(ClientStream& client,
                           UpstreamStream& upstream,
                           BufferPool& buffers,
                           policy::Duration stall,
                           bool sensitive,
                           std::function<void(const WebSocketEnd&)> record);

}  // namespace iron::proxy
