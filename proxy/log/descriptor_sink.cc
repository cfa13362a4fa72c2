#include "proxy/log/descriptor_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace iron::proxy {
namespace {

// poll() promises room for this much on a pipe, so that a blocking write of it returns.
constexpr std::size_t kPromisedBytes = 4096;

// The non-blocking flag of an inherited descriptor belongs to everybody who holds it; a description
// of our own has its own flag.
int reopen_nonblocking(int descriptor) {
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_APPEND);
}

}  // namespace

DescriptorSink::DescriptorSink(int descriptor, Ownership ownership)
    : descriptor_(descriptor), owned_(ownership == Ownership::owned) {
  struct stat info{};
  if (::fstat(descriptor, &info) != 0) return;
  if (S_ISSOCK(info.st_mode)) {
    kind_ = Kind::socket;
  } else if (S_ISFIFO(info.st_mode) || ::isatty(descriptor) == 1) {
    kind_ = Kind::nowait;
    if (owned_) {
      kind_ = Kind::nonblocking;
    } else if (const int own = reopen_nonblocking(descriptor); own >= 0) {
      kind_ = Kind::nonblocking;
      descriptor_ = own;
      owned_ = true;
    }
  }
}

DescriptorSink::~DescriptorSink() {
  if (owned_) ::close(descriptor_);
}

long DescriptorSink::write(std::string_view bytes) {
  while (true) {
    const long count = write_some(bytes);
    if (count >= 0) return count;
    if (errno != EINTR) return -errno;
  }
}

long DescriptorSink::write_some(std::string_view bytes) {
  if (kind_ == Kind::socket) {
    return ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  if (kind_ == Kind::nowait) return write_without_waiting(bytes);
  if (kind_ == Kind::polled) {
    pollfd ready{descriptor_, POLLOUT, 0};
    if (::poll(&ready, 1, 0) == 0) {
      errno = EAGAIN;
      return -1;
    }
    return ::write(descriptor_, bytes.data(), std::min(bytes.size(), kPromisedBytes));
  }
  return ::write(descriptor_, bytes.data(), bytes.size());
}

/// For a pipe that may not be opened again: newer kernels refuse a write that would wait.
long DescriptorSink::write_without_waiting(std::string_view bytes) {
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  const long count = ::pwritev2(descriptor_, &part, 1, -1, RWF_NOWAIT);
  if (count >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM)) return count;
  kind_ = Kind::polled;
  errno = EAGAIN;
  return -1;
}

}  // namespace iron::proxy
