#pragma once

#include <string>

#include "policy/match/host.h"
#include "proxy/client/client_session.h"
#include "proxy/exchange/request_state.h"
#include "proxy/wait/buffers.h"
#include "proxy/wait/task.h"
#include "transforms/exchange.h"

namespace iron::proxy {

/// CONNECT (RFC 9110 section 9.3.6): policy check, the 200, then the tunnel. The state's request
/// and its `head` are valid until the check is over. True: the tunnel is open.
Task<bool> serve_connect(ClientSession& session, RequestStatePtr state, Buffer head);

struct TunnelVerdict {
  bool allowed = false;
  bool failed = false;  ///< a transform failed
  std::string denial_reason;
};
/// Policy check of a CONNECT or SOCKS5 target, with its record and log lines. `authority` has a
/// port. What is allowed is the client's tunnel from then on.
TunnelVerdict check_tunnel(ClientSession& session,
                           transforms::Exchange& exchange,
                           const policy::Authority& authority,
                           const std::string& target);

}  // namespace iron::proxy
