#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "policy/result.h"

namespace iron::proxy {

/// What a path may still be used for once the process is confined; for a directory this counts for
/// everything below it.
struct FileGrant {
  enum class Use { read, append };
  std::string path;
  Use use = Use::read;
};

/// The version of Landlock that the kernel offers; 0 if it offers none, with `errno` saying why.
int landlock_version();

/// Limits the calling thread, and the threads it makes from now on, to these files. Files outside
/// cannot be opened, made, removed or run; what is open already stays usable. From version 4 on no
/// TCP socket can be bound either; from version 6 on no process outside can be signalled and no
/// abstract UNIX socket outside be reached. Paths that do not exist are passed over.
Result<void> restrict_by_landlock(int version, std::span<const FileGrant> grants);

}  // namespace iron::proxy
