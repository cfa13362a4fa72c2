#pragma once

#include "proxy/run/command_line.h"

namespace iron::proxy {

/// Proxy mode from the parsed command line to the end of the process: reads and checks the
/// configuration, binds, loads, listens, serves, drains. Returns the exit code. The order decides
/// which of several faults is reported; docs/configuration.md, "Order of work", lists it.
int run_proxy(const CommandLine& command_line);

}  // namespace iron::proxy
