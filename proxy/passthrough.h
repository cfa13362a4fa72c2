#pragma once

#include "proxy/client_session.h"

namespace iron::proxy {

/// `tls.mode: sni-only`: judges the server name of the ClientHello, dials it on port 443 and relays
/// without decrypting (docs/tls.md, "sni-only").
Task<void> pass_through(ClientSession& session);

}  // namespace iron::proxy
