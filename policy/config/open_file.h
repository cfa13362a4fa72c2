#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace iron::policy {

/// Opens files that this process may not open itself. Thread safe.
class FileHelper {
 public:
  virtual ~FileHelper() = default;
  /// As open(2), for reading or for appending as `flags` say: a descriptor of the caller's own, or
  /// -1 with `errno`.
  virtual int open(const std::string& path, int flags) = 0;
};

/// Whom open_file() asks, or null for nobody. To be called while there is one thread; the helper
/// must live until the next call.
void set_file_helper(FileHelper* helper);

/// open(2) for the files that are opened again while the program runs. A confined process may not
/// open what has taken the place of the file that it began with (docs/security.md, "Confinement"):
/// where access is denied the helper is asked. -1 with `errno` on failure.
int open_file(const std::string& path, int flags, unsigned mode = 0);

/// read(2) from a file that open_file() opened with O_NONBLOCK, which opens a named pipe without
/// waiting for its writer: -1 with ETIME if nothing comes for five seconds. Interruptions are
/// passed over.
ssize_t read_file_part(int descriptor, void* into, std::size_t room);

}  // namespace iron::policy
