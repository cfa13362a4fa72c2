#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>

#include "policy/errno_text.h"
#include "policy/secret/secret.h"
#include "proxy/guard/helper_process.h"
#include "proxy/guard/program_runner.h"

// NOLINTNEXTLINE(readability-redundant-declaration): not declared by every C library.
extern char** environ;

namespace iron::proxy {
namespace {

using News = ProgramRunner::News;
using Order = ProgramRunner::Order;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kGivenOn[] = {
    // where things are
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
    "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
    // how text and time are written
    "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ",
    // how to get out, and whom to trust
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    // what programs for keys of AWS go by
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"};

/// Of a program that runs.
struct Child {
  std::uint32_t run;
  pid_t process;
  Clock::time_point until;
};

struct Outputs {
  std::array<int, 2> output{-1, -1}, errors{-1, -1};  ///< ends to read from, to write to
  /// Whoever waits for the outputs waits on their descriptors, not in a read.
  bool open() {
    return ::pipe2(output.data(), O_CLOEXEC) == 0 && ::pipe2(errors.data(), O_CLOEXEC) == 0 &&
           ::fcntl(output[0], F_SETFL, O_NONBLOCK) == 0 &&
           ::fcntl(errors[0], F_SETFL, O_NONBLOCK) == 0;
  }
  ~Outputs() {
    for (const int end : {output[0], output[1], errors[0], errors[1]}) {
      if (end >= 0) ::close(end);
    }
  }
};

/// The child of the fork, up to the program.
[[noreturn]] void become(const ProgramRunner::Program& program,
                         char* const* environment,
                         const Outputs& outputs,
                         pid_t runner) {
  ::setpgid(0, 0);
  end_with(runner);
  ::dup2(outputs.output[1], STDOUT_FILENO);
  ::dup2(outputs.errors[1], STDERR_FILENO);
  ::syscall(SYS_close_range, 3U, ~0U, 0);
  for (const int number : {SIGPIPE, SIGXFSZ, SIGCHLD}) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> arguments{const_cast<char*>(program.need.program.c_str())};
  for (const std::string& argument : program.need.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  ::execve(program.path.c_str(), arguments.data(), environment);
  const std::string text = program.path + ": " + policy::errno_text(errno) + "\n";
  const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(ignored < 0 ? 126 : 127);
}

class Runner {
 public:
  Runner(int socket,
         int signals,
         const std::vector<ProgramRunner::Program>& programs,
         std::vector<std::string> environment,
         std::chrono::milliseconds limit)
      : socket_(socket),
        signals_(signals),
        programs_(programs),
        environment_(std::move(environment)),
        limit_(limit) {}

  void serve() {
    while (true) {
      pollfd wanted[] = {{socket_, POLLIN, 0}, {signals_, POLLIN, 0}};
      ::poll(wanted, 2, patience());
      signalfd_siginfo ignored{};
      if (wanted[1].revents != 0 && ::read(signals_, &ignored, sizeof ignored) < 0) return;
      look_after_children();
      if (wanted[0].revents != 0 && !take_order()) return;
    }
  }
  void kill_all() const {
    for (const Child& child : children_) ::kill(-child.process, SIGKILL);
  }

 private:
  int patience() const {
    if (children_.empty()) return -1;
    const auto next = std::ranges::min_element(children_, {}, &Child::until)->until;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
  }

  void look_after_children() {
    for (std::size_t i = 0; i < children_.size();) {
      Child& child = children_[i];
      if (Clock::now() >= child.until) {
        ::kill(-child.process, SIGKILL);
        child.until += limit_;
      }
      siginfo_t info{};
      const auto id = static_cast<id_t>(child.process);
      const bool ended = ::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                         info.si_pid == child.process;
      if (!ended) {
        ++i;
        continue;
      }
      // What it started goes with it; while it is not yet waited for, the group is no other's.
      ::kill(-child.process, SIGKILL);
      int status = 0;
      ::waitpid(child.process, &status, 0);
      send({News::Kind::ended, child.run, status});
      children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  bool take_order() {
    iovec parts[] = {{&order_, sizeof order_}, {secret_.data(), secret_.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t got = ::recvmsg(socket_, &message, 0);
    if (got < static_cast<ssize_t>(sizeof order_)) return false;
    const std::size_t size = static_cast<std::size_t>(got) - sizeof order_;
    if (order_.kind == Order::Kind::run) {
      const int refused = run({secret_.data(), size});
      if (refused != 0) send({News::Kind::refused, order_.run, refused});
      wipe({secret_.data(), size});
    } else {
      for (const Child& child : children_) {
        if (child.run == order_.run) ::kill(-child.process, SIGKILL);
      }
    }
    return true;
  }

  /// `errno` if it cannot be.
  int run(std::string_view secret) {
    if (order_.program >= programs_.size()) return EACCES;
    const ProgramRunner::Program& program = programs_[order_.program];
    if (program.path.empty()) return ENOENT;
    if (children_.size() >= ProgramRunner::kMostAtOnce) return EAGAIN;
    if (secret.size() > ProgramRunner::kLongestSecret) return E2BIG;
    Outputs outputs;
    if (!outputs.open()) return errno;
    // The server names no variable: another one could have a program load code of its choice.
    const std::string& name = program.need.variable;
    std::vector<char> assigned(name.size() + secret.size() + 2);
    std::ranges::copy(name, assigned.begin());
    assigned[name.size()] = '=';
    std::ranges::copy(secret, assigned.begin() + static_cast<std::ptrdiff_t>(name.size()) + 1);
    std::vector<char*> environment;
    for (std::string& entry : environment_) environment.push_back(entry.data());
    if (!name.empty()) environment.push_back(assigned.data());
    environment.push_back(nullptr);
    const pid_t runner = ::getpid();
    const pid_t process = ::fork();
    if (process == 0) become(program, environment.data(), outputs, runner);
    const int failed = errno;
    wipe(assigned);
    if (process < 0) return failed;
    ::setpgid(process, process);  // whoever of the two comes first
    children_.push_back({order_.run, process, Clock::now() + limit_});
    send_outputs(outputs);
    return 0;
  }

  void send_outputs(const Outputs& outputs) const {
    News news{News::Kind::started, order_.run, 0};
    const std::array<int, 2> handed{outputs.output[0], outputs.errors[0]};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof handed)> control{};
    iovec part{&news, sizeof news};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const with = CMSG_FIRSTHDR(&message);
    with->cmsg_level = SOL_SOCKET;
    with->cmsg_type = SCM_RIGHTS;
    with->cmsg_len = CMSG_LEN(sizeof handed);
    std::memcpy(CMSG_DATA(with), handed.data(), sizeof handed);
    ::sendmsg(socket_, &message, MSG_NOSIGNAL);
  }

  void send(const News& news) const { ::send(socket_, &news, sizeof news, MSG_NOSIGNAL); }

  const int socket_, signals_;
  const std::vector<ProgramRunner::Program>& programs_;
  std::vector<std::string> environment_;
  const std::chrono::milliseconds limit_;
  std::vector<Child> children_;
  Order order_;
  /// One byte more than is allowed, which tells that it was too long.
  std::array<char, ProgramRunner::kLongestSecret + 1> secret_{};
};

int signals_of_children() {
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return ::signalfd(-1, &set, SFD_CLOEXEC);
}

/// Programs expect these three to be there; a pipe in the place of one would be lost to dup2().
void open_standard_descriptors() {
  for (int i = 0; i <= STDERR_FILENO; ++i) {
    if (::open("/dev/null", O_RDWR) < 0) ::_exit(1);
  }
}

}  // namespace

std::vector<std::string> environment_for_programs(char* const* environment) {
  std::vector<std::string> given;
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry(*environment);
    const std::size_t equals = std::min(entry.find('='), entry.size());
    const std::string_view name = entry.substr(0, equals);
    const std::string_view value = entry.substr(std::min(equals + 1, entry.size()));
    if (std::ranges::find(kGivenOn, name) == std::end(kGivenOn)) continue;
    // A key that was taken out is blanks, and a URL with a password in it is a key.
    if (value.find_first_not_of(' ') == value.npos) continue;
    const bool is_proxy = name.ends_with("_PROXY") || name.ends_with("_proxy");
    if (is_proxy && value.find('@') != value.npos) continue;
    given.emplace_back(entry);
  }
  return given;
}

void run_program_runner(int socket,
                        pid_t parent,
                        const std::vector<ProgramRunner::Program>& programs,
                        std::chrono::milliseconds limit) {
  const int kept = ::fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  close_all_but(kept);  // first: whoever reads the standard error of the server waits for its end
  open_standard_descriptors();
  std::vector<std::string> environment = environment_for_programs(environ);
  blank_environment();
  take_process_name("program-runner");
  end_with(parent);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
  // What a service manager gave the server to bind its ports with is nothing for programs.
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  Runner runner(kept, signals_of_children(), programs, std::move(environment), limit);
  runner.serve();
  runner.kill_all();
  ::_exit(0);
}

}  // namespace iron::proxy
