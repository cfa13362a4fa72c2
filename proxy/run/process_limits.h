#pragma once

namespace iron::proxy {

/// The descriptor (signalfd(2)) that the signals of a server come by, which are blocked from then
/// on; those of a write that fails are ignored.
int block_signals();

/// As many descriptors as may be, and no core file.
void set_process_limits();

}  // namespace iron::proxy
