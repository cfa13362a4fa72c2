#pragma once

#include <chrono>

#include "policy/result.h"
#include "policy/task.h"
#include "proxy/net/connection.h"
#include "proxy/net/parent_handshake.h"
#include "proxy/wait/abandonment.h"
#include "proxy/wait/pause.h"

namespace iron::proxy {

/// Takes a handshake with the parent proxy at the other end of `connection` to its end; what
/// follows on the connection is the tunnel's. Fault::client_gone when abandoned. All outlive it.
Task<Result<void>> open_tunnel(Connection& connection,
                               Pause& pause,
                               ParentHandshake& handshake,
                               Abandonment& abandonment,
                               std::chrono::nanoseconds timeout);

}  // namespace iron::proxy
