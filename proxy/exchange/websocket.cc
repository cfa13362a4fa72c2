#include "proxy/exchange/websocket.h"

#include <utility>

#include "proxy/http/header_rules.h"
#include "proxy/net/relay.h"

namespace iron::proxy {

bool accepts_websocket(const Response& response, const Request& request) {
  const Field* key = request.headers.find("Sec-WebSocket-Key");
  const Field* accept = response.headers.find("Sec-WebSocket-Accept");
  const Field* upgrade = response.headers.find("Upgrade");
  return key != nullptr && accept != nullptr && upgrade != nullptr &&
         response.headers.count("Sec-WebSocket-Accept") == 1 &&
         iequals(upgrade->value, "websocket") && accept->value == websocket_accept(key->value);
}

Task<void> relay_websocket(ClientStream& client,
                           UpstreamStream& upstream,
                           BufferPool& buffers,
                           policy::Duration stall,
                           bool sensitive,
                           std::function<void(const WebSocketEnd&)> record) {
  Pipe near = client.pipe();
  Pipe far = upstream.pipe();
  RelayFlow up, down;
  up.from = down.to = &near.connection;
  up.to = down.from = &far.connection;
  up.buffer = std::move(near.input);
  down.buffer = std::move(far.input);
  RelayRules rules;
  rules.stall = stall;
  rules.sensitive = sensitive;
  bool recorded = false;
  RelayEnd ended;
  const auto record_once = [&] {
    if (std::exchange(recorded, true)) return;
    record({up.bytes, down.bytes, ended.silent ? std::string_view(ended.problem) : ""});
  };
  rules.before_client_end = [&]() -> RecordBatch::Wait& {
    record_once();
    return client.client().recorded();
  };
  ended = co_await relay(client.pause(), buffers, up, down, rules);
  record_once();
}

}  // namespace iron::proxy
