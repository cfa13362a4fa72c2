#pragma once

#include <string>

#include "policy/match/host.h"
#include "policy/task.h"
#include "proxy/client/client_session.h"
#include "proxy/exchange/request_state.h"
#include "proxy/wait/buffers.h"
#include "transforms/exchange.h"

namespace iron::proxy {

/// CONNECT (RFC 9110 section 9.3.6): policy check, the 200, then the tunnel. The state's request
/// and its `head` are valid until the check is over. True: the tunnel is open.
Task<bool> serve_connect(ClientSession& session, RequestStatePtr state, Buffer head);

struct TunnelVerdict {
  bool allowed = false;
  bool gone = false;   ///< nobody waits for the verdict any more
  std::string answer;  ///< to a CONNECT that is not allowed
};
/// Policy check of a CONNECT or SOCKS5 target, with its record and log lines. `authority` has a
/// port. What is allowed is the client's tunnel from then on.
Task<TunnelVerdict> check_tunnel(ClientSession& session,
                                 transforms::Exchange& exchange,
                                 policy::Authority authority,
                                 std::string target);

}  // namespace iron::proxy
