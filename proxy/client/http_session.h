#pragma once

#include "policy/task.h"
#include "proxy/client/client_session.h"

namespace iron::proxy {

/// Serves HTTP/1 requests of one connection one after the other: on `http_listen`, inside TLS,
/// inside tunnels, and the CONNECTs and absolute-form requests of `tunnel_listen`. True: a CONNECT
/// was let through and answered, and a tunnel begins.
Task<bool> serve_http(ClientSession& session);

/// Holds back what is new while the log's buffer is full and `log.when_full` is `wait`. False: the
/// session is to end.
Task<bool> await_log(ClientSession& session);

}  // namespace iron::proxy
