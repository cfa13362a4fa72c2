#pragma once

#include "proxy/net/connection.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {

/// One end of what has become a pipe of opaque bytes, for relay(). The stream that gave it away
/// owns the connection.
struct Pipe {
  Connection& connection;
  Buffer input;  ///< what has come behind the head
};

}  // namespace iron::proxy
