#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "proxy/guard/capabilities.h"
#include "proxy/guard/file_broker.h"
#include "proxy/guard/seccomp.h"

// NOLINTNEXTLINE(readability-redundant-declaration): not declared by every C library.
extern char** environ;

namespace iron::proxy {
namespace {

/// Not the server's: whoever looks for that by its name must not find two.
constexpr std::string_view kName = "file-broker";
/// By this variable the server is told from others. It is no secret.
constexpr std::string_view kKept = "HERMES_IRON_PROXY_NONCE";

/// Blanks, not zeros: readers of /proc/<pid>/environ stop at an empty entry. What the keys are
/// called is not known yet, so nothing else is kept.
void blank_environment() {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    char* const equals = std::strchr(*entry, '=');
    if (equals == nullptr || std::string_view(*entry, equals) == kKept) continue;
    std::memset(equals + 1, ' ', std::strlen(equals + 1));
  }
}

/// The name of the process, and the command line in place: arguments and environment lie in a row.
void take_name() {
  ::prctl(PR_SET_NAME, kName.data());
  char* const begin = program_invocation_name;
  if (begin == nullptr) return;
  std::size_t room = std::strlen(begin);
  if (environ != nullptr && *environ != nullptr && *environ > begin) {
    room = static_cast<std::size_t>(*environ - begin) - 1;
  }
  std::memset(begin, 0, room);
  std::memcpy(begin, kName.data(), std::min(room, kName.size()));
}

void close_all_but(int socket) {
  const auto kept = static_cast<unsigned>(socket);
  if (kept > 0) ::syscall(SYS_close_range, 0, kept - 1, 0);
  ::syscall(SYS_close_range, kept + 1, ~0U, 0);
}

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
  take_name();
  const auto opened = sealed(files);
  if (!opened || drop_capabilities(files).has_error()) ::_exit(1);
  // Set once the capabilities are dropped, for a change of those may clear it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);  // it ended before
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
  if (restrict_to_opening(*opened).has_error()) ::_exit(1);
  FileBroker::Question question;
  while (::recv(socket, &question, sizeof question, 0) == sizeof question) {
    answer(socket, question, *opened);
  }
  ::_exit(0);
}

}  // namespace iron::proxy
