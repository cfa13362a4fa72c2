#pragma once

#include <string_view>

#include "proxy/http/message_checks.h"
#include "proxy/net/client.h"
#include "proxy/net/upstream_pool.h"
#include "transforms/exchange.h"

namespace iron::proxy {

/// Takes the target of `exchange.request` apart (RFC 9112 section 3.2): origin form, absolute form,
/// or `*` with OPTIONS. `host`, the value of Host, becomes the target's where it has one.
HeadFault read_target(transforms::Exchange& exchange, std::string_view& host);

/// Where a request for `authority` goes. Inside a tunnel to `host:P`, a Host without port that is
/// the tunnel's host means P.
void fill_target(UpstreamTarget& target,
                 const policy::Authority& authority,
                 const ClientFacts& client);

}  // namespace iron::proxy
