#pragma once

#include <sys/types.h>

#include <string_view>

namespace iron::proxy {

/// What a process does first that was made by fork() to help the server.

/// Closes all descriptors but this one.
void close_all_but(int descriptor);

/// Overwrites the values of the environment in place, but for the nonce by which the server is told
/// from others: what the keys are called may not be known yet.
void blank_environment();

/// The name in lists of processes, 15 bytes at most. Not the server's: whoever looks for that by
/// its name must not find two.
void take_process_name(std::string_view name);

/// Has the kernel end this process with its parent; ends it now if that has ended already. A change
/// of capabilities takes it back.
void end_with(pid_t parent);

}  // namespace iron::proxy
