#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "policy/http_message.h"
#include "proxy/http/upstream_stream.h"
#include "transforms/exchange.h"

namespace iron::proxy {

/// Framing the upstream request is written with.
struct UpstreamFraming {
  enum class Kind { as_received, none, length, chunked } kind = Kind::as_received;
  std::uint64_t length = 0;
};
/// Upper bound of what write_request_head will write.
std::size_t request_head_bound(const transforms::Exchange& exchange,
                               std::string_view host,
                               const ParentForm* parent = nullptr);
struct WrittenHead {
  char* end = nullptr;
  /// A rewritten field holds credentials that authenticate the connection; of the others
  /// HopByHop tells it.
  bool connection_login = false;
};
/// Writes the head for the upstream to `out` (secret memory). `host`: value of the Host field.
/// `parent`: it goes to that proxy, whose login is the last field.
WrittenHead write_request_head(const transforms::Exchange& exchange,
                               std::string_view host,
                               const UpstreamFraming& framing,
                               char* out,
                               const ParentForm* parent = nullptr);

/// How an answer is framed towards the client.
enum class ClientFraming { none, length, chunked, close };
struct ResponseHeadOptions {
  int client_minor = 1;
  ClientFraming framing = ClientFraming::none;
  bool drop_length = false;  ///< the upstream's Content-Length does not hold (204, re-framed)
  bool close = false;        ///< add `Connection: close`
  bool keep_alive_10 = false;
  bool upgrade = false;  ///< a 101: Connection and Upgrade are added if missing
};
void write_response_head(const Response& response,
                         const ResponseHeadOptions& options,
                         std::string& out);

}  // namespace iron::proxy
