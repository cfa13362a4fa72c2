#pragma once

namespace iron::proxy {

/// Has the kernel look after a TCP peer that is silent: three probes, the first after 30 s. A peer
/// that is gone without a word ends the connection a minute after its last byte (`ETIMEDOUT`). What
/// is set on a listening socket holds for the connections it accepts.
void keep_alive(int descriptor);

}  // namespace iron::proxy
