#include "proxy/guard/helper_process.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

// NOLINTNEXTLINE(readability-redundant-declaration): not declared by every C library.
extern char** environ;

namespace iron::proxy {
namespace {

/// By this variable the server is told from others. It is no secret.
constexpr std::string_view kKept = "HERMES_IRON_PROXY_NONCE";

}  // namespace

void close_all_but(int descriptor) {
  const auto kept = static_cast<unsigned>(descriptor);
  if (kept > 0) ::syscall(SYS_close_range, 0, kept - 1, 0);
  ::syscall(SYS_close_range, kept + 1, ~0U, 0);
}

/// Blanks, not zeros: readers of /proc/<pid>/environ stop at an empty entry.
void blank_environment() {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    char* const equals = std::strchr(*entry, '=');
    if (equals == nullptr || std::string_view(*entry, equals) == kKept) continue;
    std::memset(equals + 1, ' ', std::strlen(equals + 1));
  }
}

/// The command line is changed in place: arguments and environment lie in a row.
void take_process_name(std::string_view name) {
  ::prctl(PR_SET_NAME, std::string(name).c_str());
  char* const begin = program_invocation_name;
  if (begin == nullptr) return;
  std::size_t room = std::strlen(begin);
  if (environ != nullptr && *environ != nullptr && *environ > begin) {
    room = static_cast<std::size_t>(*environ - begin) - 1;
  }
  std::memset(begin, 0, room);
  std::memcpy(begin, name.data(), std::min(room, name.size()));
}

void end_with(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
}

}  // namespace iron::proxy
