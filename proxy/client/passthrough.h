#pragma once

#include "proxy/client/client_session.h"

namespace iron::proxy {

/// `tls.mode: sni-only`: judges the server name of the ClientHello, dials it on port 443 and relays
/// without decrypting (docs/tls.md, "sni-only").
Task<void> pass_through(ClientSession& session);

/// `proxy.passthrough` (docs/policy.md, "Pass-through"), for a tunnel that was opened to one of its
/// targets: dials at once and relays whatever is spoken there, until both sides ended.
Task<void> pass_tunnel_through(ClientSession& session);

/// The same on `https_listen`, by the server name of the ClientHello and port 443. False, with all
/// that has come in input(): the name is none of the targets, and the handshake is next.
Task<bool> pass_through_by_name(ClientSession& session);

}  // namespace iron::proxy
