#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "tests/proxy/confined.h"

namespace iron::proxy {
namespace {

using HijackedProcess = ConfinedTest;

int map_executable() {
  void* page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? errno : 0;
}

int make_executable(bool writable_first) {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 999;
  if (writable_first) std::memset(page, 0xc3, 16);
  return outcome_of(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

int listen_unbound() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  return socket < 0 ? 999 : outcome_of(::listen(socket, 1));
}

int run_program() {
  char name[] = "/bin/true";
  char* arguments[] = {name, nullptr};
  char* environment[] = {nullptr};
  ::execve(name, arguments, environment);
  return errno;
}

long call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  return ::syscall(number, a, b, c, d);
}

int read_parent() {
  char byte = 0;
  iovec local{&byte, 1}, remote{&byte, 1};
  return outcome_of(::syscall(SYS_process_vm_readv, ::getppid(), &local, 1, &remote, 1, 0));
}

int raise_core_limit() {
  const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  return outcome_of(::setrlimit(RLIMIT_CORE, &limit));
}

struct Attempt {
  const char* name;
  int (*run)();
  int refused_with = EPERM;
};

/// What somebody would try who runs code of his own in the process.
const Attempt kAttempts[] = {
    {"run a program", run_program},
    {"run a program by descriptor",
     [] { return outcome_of(call(SYS_execveat, AT_FDCWD, reinterpret_cast<long>("/bin/true"))); }},
    {"make a process", [] { return outcome_of(call(SYS_clone, SIGCHLD)); }},
    {"make a process by the newer call", [] { return outcome_of(call(SYS_clone3)); }, ENOSYS},
#ifdef SYS_fork
    {"fork", [] { return outcome_of(call(SYS_fork)); }},
    {"vfork", [] { return outcome_of(call(SYS_vfork)); }},
#endif
    {"trace another process",
     [] { return outcome_of(call(SYS_ptrace, PTRACE_ATTACH, getppid())); }},
    {"read another process", read_parent},
    {"signal another process", [] { return outcome_of(::kill(::getppid(), 0)); }},
    {"signal a thread of another process",
     [] { return outcome_of(call(SYS_tgkill, ::getppid(), ::getppid(), 0)); }},
    {"map executable memory", map_executable},
    {"make data executable", [] { return make_executable(true); }},
    {"make an empty page executable", [] { return make_executable(false); }},
    {"change what memory may be by the newer call",
     [] { return outcome_of(call(SYS_pkey_mprotect)); }},
    {"turn readable into executable", [] { return outcome_of(call(SYS_personality, 0x0400000)); }},
    {"hold a program in memory", [] { return outcome_of(::memfd_create("x", 0)); }},
    {"listen", listen_unbound},
    {"open a raw socket", [] { return socket_of(AF_INET, SOCK_RAW); }},
    {"open a raw IPv6 socket", [] { return socket_of(AF_INET6, SOCK_RAW); }},
    {"open a packet socket", [] { return socket_of(AF_PACKET, SOCK_DGRAM); }},
    {"reach local services", [] { return socket_of(AF_UNIX, SOCK_STREAM); }},
    {"reach the hypervisor", [] { return socket_of(AF_VSOCK, SOCK_STREAM); }},
    {"type into the terminal", [] { return outcome_of(::ioctl(2, TIOCSTI, "x")); }},
    {"use io_uring", [] { return outcome_of(call(425, 8)); }},
    {"load a program into the kernel", [] { return outcome_of(call(SYS_bpf)); }},
    {"count events", [] { return outcome_of(call(SYS_perf_event_open)); }},
    {"handle faults", [] { return outcome_of(call(SYS_userfaultfd)); }},
    {"leave the namespaces", [] { return outcome_of(call(SYS_unshare, 0x10000000)); }},
    {"mount", [] { return outcome_of(call(SYS_mount)); }},
    {"open by handle", [] { return outcome_of(call(SYS_open_by_handle_at, AT_FDCWD)); }},
    {"use the key ring", [] { return outcome_of(call(SYS_keyctl)); }},
    {"change the root", [] { return outcome_of(call(SYS_chroot, reinterpret_cast<long>("/"))); }},
    {"remove a file",
     [] { return outcome_of(call(SYS_unlinkat, AT_FDCWD, reinterpret_cast<long>("x"))); }},
    {"change a mode",
     [] { return outcome_of(call(SYS_fchmodat, AT_FDCWD, reinterpret_cast<long>("."), 0777)); }},
    {"raise the core limit", raise_core_limit},
    {"become somebody else", [] { return outcome_of(call(SYS_setuid, 0)); }},
    {"change the process", [] { return outcome_of(::prctl(PR_SET_DUMPABLE, 1)); }},
    {"make a filter of his own", [] { return outcome_of(call(SYS_seccomp, 1, 0, 0)); }},
};

TEST_F(HijackedProcess, IsRefused) {
  for (const Attempt& attempt : kAttempts) {
    EXPECT_EQ(confined(attempt.run), attempt.refused_with) << attempt.name;
  }
}

TEST_F(HijackedProcess, EarlierThreadsAreRefusedToo) {
  std::atomic<bool> go{false};
  EXPECT_EQ(in_child([&] {
              int seen = 0;
              std::thread earlier([&] {
                go.wait(false);
                seen = run_program();
              });
              Hardening hardening(config_);
              hardening.confine_files();
              hardening.confine_calls();
              go = true;
              go.notify_all();
              earlier.join();
              return seen;
            }),
            EPERM);
}

}  // namespace
}  // namespace iron::proxy
