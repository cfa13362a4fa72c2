#include "proxy/guard/program_runner.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace iron::proxy {
namespace {

constexpr timeval kPatienceAtTheEnd{0, 200'000};

bool is_program(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

/// Empty: there is none.
std::string path_of(const std::string& program) {
  std::error_code error;
  if (program.find('/') != program.npos) {
    return is_program(program) ? std::filesystem::absolute(program, error).string() : "";
  }
  const char* const variable = ::getenv("PATH");
  std::string_view left = variable == nullptr ? "" : variable;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(':'), left.size());
    const std::string path = std::string(left.substr(0, end)) + "/" + program;
    left.remove_prefix(std::min(end + 1, left.size()));
    // Not from the working directory: who may write there is not asked what a name means.
    if (path.front() == '/' && path[1] != '/' && is_program(path)) return path;
  }
  return "";
}

}  // namespace

ProgramRunner::ProgramRunner(const std::vector<transforms::ProgramNeed>& needs,
                             std::chrono::milliseconds limit) {
  for (const transforms::ProgramNeed& need : needs) {
    if (!number_of(need)) programs_.push_back({need, path_of(need.program)});
  }
  const bool any =
      std::ranges::any_of(programs_, [](const Program& program) { return !program.path.empty(); });
  if (any) start_process(limit);
}

void ProgramRunner::start_process(std::chrono::milliseconds limit) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return;
  // Confined, the parent cannot wait for a process; the kernel then removes it by itself.
  ::signal(SIGCHLD, SIG_IGN);
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ == 0) run_program_runner(ends[1], parent, programs_, limit);
  ::close(ends[1]);
  if (process_ < 0) {
    ::close(ends[0]);
  } else {
    socket_ = ends[0];
  }
}

ProgramRunner::~ProgramRunner() {
  if (socket_ >= 0) ::close(socket_);
}

std::optional<std::uint32_t> ProgramRunner::number_of(const transforms::ProgramNeed& need) const {
  const auto found = std::ranges::find(programs_, need, &Program::need);
  if (found == programs_.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - programs_.begin());
}

void ProgramRunner::end() {
  if (socket_ < 0) return;
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &kPatienceAtTheEnd, sizeof kPatienceAtTheEnd);
  ::shutdown(socket_, SHUT_WR);
  News news;
  // Descriptors that come with what nobody waits for are not taken, and closed by the kernel.
  while (::recv(socket_, &news, sizeof news, 0) > 0) {
  }
}

}  // namespace iron::proxy
