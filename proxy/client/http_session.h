#pragma once

#include "proxy/client/client_session.h"
#include "proxy/exchange/request_state.h"

namespace iron::proxy {

/// Serves HTTP/1 requests of one connection one after the other: on `http_listen`, inside TLS,
/// inside tunnels, and the CONNECTs and absolute-form requests of `tunnel_listen`. True: a CONNECT
/// was let through and answered, and a tunnel begins.
Task<bool> serve_http(ClientSession& session);

/// Holds back what is new while the log's buffer is full and `log.when_full` is `wait`. False: the
/// session is to end.
Task<bool> await_log(ClientSession& session);

/// CONNECT (RFC 9110 section 9.3.6): policy check, the 200, then the tunnel. `request` and its head
/// stay valid until the check is over. True: the tunnel is open.
Task<bool> serve_connect(ClientSession& session, RequestStatePtr state, Buffer head);

/// Policy check of a CONNECT or SOCKS5 target, with its record and log lines. `authority` has a
/// port.
struct TunnelVerdict {
  bool allowed = false;
  bool failed = false;  ///< a transform failed
  std::string denial_reason;
};
TunnelVerdict check_tunnel(ClientSession& session,
                           transforms::Exchange& exchange,
                           const policy::Authority& authority,
                           const std::string& target);

}  // namespace iron::proxy
