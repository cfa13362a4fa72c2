#pragma once

#include <span>

#include "policy/result.h"

namespace iron::proxy {

/// Whether the C library may talk to local services (nscd, avahi, sssd …) when it looks up names.
enum class LocalSockets { refused, allowed };

/// Leaves all threads of the process only the system calls that serving takes; every other call
/// fails with EPERM, so that an unforeseen one costs a request and not the process. No program can
/// be run, no process made or traced, no memory become executable, no socket listen. Needs
/// no_new_privs. For good.
Result<void> restrict_system_calls(LocalSockets local);

/// A file that may be opened, with exactly these flags.
struct OpenedFile {
  const char* path;  ///< known by its address: must stay, in pages that cannot be written
  int flags;
};

/// Leaves the process only to open these files, to receive and send messages, to close and to end;
/// every other call fails with EPERM. Needs no_new_privs. For good.
Result<void> restrict_to_opening(std::span<const OpenedFile> files);

}  // namespace iron::proxy
