#include "proxy/exchange/request_target.h"

#include <algorithm>

namespace iron::proxy {

HeadFault read_target(transforms::Exchange& exchange, std::string_view& host) {
  std::string_view target = exchange.request.target;
  if (target.front() != '/' && target != "*") {
    const std::size_t colon = target.find("://");
    if (colon == target.npos) return HeadFault::malformed;
    const std::string_view scheme = target.substr(0, colon);
    if (!iequals(scheme, "http") && !(exchange.client_tls && iequals(scheme, "https"))) {
      return HeadFault::malformed;
    }
    target.remove_prefix(colon + 3);
    const std::size_t end = std::min(target.find('/'), target.find('?'));
    host = target.substr(0, end);
    if (host.empty()) return HeadFault::malformed_host;
    target = end == target.npos ? std::string_view() : target.substr(end);
    // What asks for the options of the whole server (RFC 9112 section 3.2.4).
    if (target.empty() && exchange.request.method == "OPTIONS") target = "*";
  } else if (target == "*" && exchange.request.method != "OPTIONS") {
    return HeadFault::malformed;
  }
  const std::size_t query = target.find('?');
  exchange.raw_path = target.substr(0, query);
  exchange.has_query = query != target.npos;
  exchange.raw_query = exchange.has_query ? target.substr(query + 1) : std::string_view();
  return exchange.authority.assign(host) ? HeadFault::none : HeadFault::malformed_host;
}

void fill_target(UpstreamTarget& target,
                 const policy::Authority& authority,
                 const ClientFacts& client) {
  target.tls = client.over_tls;
  target.host = authority.host;
  target.literal = authority.literal;
  if (authority.port) {
    target.port = *authority.port;
  } else if (client.tunnel != nullptr && client.tunnel->host == authority.host) {
    target.port = *client.tunnel->port;
  } else {
    target.port = target.tls ? 443 : 80;
  }
}

}  // namespace iron::proxy
