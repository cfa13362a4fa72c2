#include "policy/config/open_file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace iron::policy {
namespace {

FileHelper* helper_of_process = nullptr;
constexpr int kPipeSilence = 5000;  // milliseconds

}  // namespace

void set_file_helper(FileHelper* helper) { helper_of_process = helper; }

int open_file(const std::string& path, int flags, unsigned mode) {
  const int descriptor = ::open(path.c_str(), flags, mode);
  if (descriptor >= 0 || errno != EACCES || helper_of_process == nullptr) return descriptor;
  return helper_of_process->open(path, flags);
}

ssize_t read_file_part(int descriptor, void* into, std::size_t room) {
  while (true) {
    // Also ready: what is no pipe, and a pipe whose writers have all gone.
    pollfd file{descriptor, POLLIN, 0};
    const int ready = ::poll(&file, 1, kPipeSilence);
    if (ready == 0) errno = ETIME;
    const ssize_t got = ready > 0 ? ::read(descriptor, into, room) : -1;
    if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
  }
}

}  // namespace iron::policy
