#pragma once

#include "policy/result.h"

namespace iron::proxy {

/// Whether the C library may talk to local services (nscd, avahi, sssd …) when it looks up names.
enum class LocalSockets { refused, allowed };

/// Leaves all threads of the process only the system calls that serving takes; every other call
/// fails with EPERM, so that an unforeseen one costs a request and not the process. No program can
/// be run, no process made or traced, no memory become executable, no socket listen. Needs
/// no_new_privs. For good.
Result<void> restrict_system_calls(LocalSockets local);

}  // namespace iron::proxy
