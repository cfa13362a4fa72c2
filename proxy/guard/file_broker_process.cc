#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "proxy/guard/capabilities.h"
#include "proxy/guard/file_broker.h"
#include "proxy/guard/helper_process.h"
#include "proxy/guard/seccomp.h"

namespace iron::proxy {
namespace {

int flags_for(FileGrant::Use use) {
  // O_NONBLOCK matters for a named pipe alone, which must not hold up the broker.
  constexpr int kAlways = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  if (use == FileGrant::Use::read) return kAlways | O_RDONLY;
  return kAlways | O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW;
}

/// The paths in pages that cannot be written any more: the filter of system calls knows them by
/// their addresses.
std::optional<std::vector<OpenedFile>> sealed(const std::vector<FileGrant>& files) {
  std::size_t size = 1;
  for (const FileGrant& file : files) size += file.path.size() + 1;
  void* const pages =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return std::nullopt;
  std::vector<OpenedFile> result;
  char* at = static_cast<char*>(pages);
  for (const FileGrant& file : files) {
    result.push_back({at, flags_for(file.use)});
    at = std::copy_n(file.path.c_str(), file.path.size() + 1, at);
  }
  if (::mprotect(pages, size, PROT_READ) != 0) return std::nullopt;
  return result;
}

void answer(int socket,
            const FileBroker::Question& question,
            const std::vector<OpenedFile>& files) {
  FileBroker::Answer answer{question.number, EACCES};
  int descriptor = -1;
  if (question.file < files.size()) {
    const OpenedFile& file = files[question.file];
    descriptor = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, file.path, file.flags, 0600));
    answer.error = descriptor < 0 ? errno : 0;
  }
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{&answer, sizeof answer};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const with = CMSG_FIRSTHDR(&message);
    with->cmsg_level = SOL_SOCKET;
    with->cmsg_type = SCM_RIGHTS;
    with->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(with), &descriptor, sizeof(int));
  }
  const bool sent = ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
  if (descriptor >= 0) ::close(descriptor);
  if (!sent) ::_exit(0);
}

}  // namespace

void run_file_broker(int socket, pid_t parent, const std::vector<FileGrant>& files) {
  close_all_but(socket);  // first: whoever reads the standard error of the server waits for its end
  blank_environment();
  take_process_name("file-broker");
  const auto opened = sealed(files);
  if (!opened || drop_capabilities(files).has_error()) ::_exit(1);
  // Set once the capabilities are dropped, for a change of those may clear it.
  end_with(parent);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
  if (restrict_to_opening(*opened).has_error()) ::_exit(1);
  FileBroker::Question question;
  while (::recv(socket, &question, sizeof question, 0) == sizeof question) {
    answer(socket, question, *opened);
  }
  ::_exit(0);
}

}  // namespace iron::proxy
