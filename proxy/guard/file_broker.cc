#include "proxy/guard/file_broker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace iron::proxy {
namespace {

constexpr timeval kPatience{2, 0}, kPatienceAtTheEnd{0, 200'000};

void set_patience(int socket, const timeval& patience) {
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

struct Received {
  FileBroker::Answer answer;
  int descriptor = -1;
};

/// False when the broker is gone or takes too long.
bool receive(int socket, Received& received) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{&received.answer, sizeof received.answer};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (size != sizeof received.answer) return false;
  const cmsghdr* with = CMSG_FIRSTHDR(&message);
  if (with != nullptr && with->cmsg_level == SOL_SOCKET && with->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&received.descriptor, CMSG_DATA(with), sizeof(int));
  }
  return true;
}

}  // namespace

std::unique_ptr<FileBroker> FileBroker::start(std::vector<FileGrant> files) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return nullptr;
  // Confined, the parent cannot wait for a process; the kernel then removes it by itself.
  ::signal(SIGCHLD, SIG_IGN);
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  if (process == 0) run_file_broker(ends[1], parent, files);
  ::close(ends[1]);
  if (process < 0) {
    ::close(ends[0]);
    return nullptr;
  }
  set_patience(ends[0], kPatience);
  std::unique_ptr<FileBroker> broker(new FileBroker(ends[0], process, std::move(files)));
  policy::set_file_helper(broker.get());
  return broker;
}

FileBroker::FileBroker(int socket, pid_t process, std::vector<FileGrant> files)
    : socket_(socket), process_(process), files_(std::move(files)) {}

FileBroker::~FileBroker() {
  policy::set_file_helper(nullptr);
  ::close(socket_);
}

int FileBroker::open(const std::string& path, int flags) {
  const auto use = (flags & O_ACCMODE) == O_RDONLY ? FileGrant::Use::read : FileGrant::Use::append;
  std::uint32_t file = 0;
  while (file < files_.size() && (files_[file].path != path || files_[file].use != use)) ++file;
  errno = EACCES;
  if (file == files_.size()) return -1;
  const std::scoped_lock lock(mutex_);
  const Question question{++number_, file};
  if (::send(socket_, &question, sizeof question, MSG_NOSIGNAL) != sizeof question) {
    errno = EACCES;
    return -1;
  }
  while (true) {
    Received received;
    if (!receive(socket_, received)) {
      errno = EACCES;
      return -1;
    }
    if (received.answer.number == question.number) {
      if (received.descriptor < 0) errno = received.answer.error;
      return received.descriptor;
    }
    if (received.descriptor >= 0) ::close(received.descriptor);
  }
}

void FileBroker::end() {
  const std::scoped_lock lock(mutex_);
  set_patience(socket_, kPatienceAtTheEnd);
  ::shutdown(socket_, SHUT_WR);
  Received received;
  while (receive(socket_, received)) {
    if (received.descriptor >= 0) ::close(std::exchange(received.descriptor, -1));
  }
}

}  // namespace iron::proxy
