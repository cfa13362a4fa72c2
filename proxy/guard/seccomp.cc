#include "proxy/guard/seccomp.h"

#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <system_error>
#include <utility>
#include <vector>

namespace iron::proxy {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

/// Calls that need no look at their arguments, the most frequent ones first: kernels before 5.11 go
/// through the filter at each call.
constexpr int kPlain[] = {
    // traffic
    __NR_read,
    __NR_write,
    __NR_writev,
    __NR_pwritev2,  // the log, on a pipe that may not wait
    __NR_readv,
    __NR_sendmsg,
    __NR_recvmsg,
#ifdef __NR_epoll_wait
    __NR_epoll_wait,
#endif
    __NR_epoll_pwait,
    __NR_futex,
    __NR_sendto,
    __NR_recvfrom,
    __NR_epoll_ctl,
    __NR_close,
    __NR_accept4,
    __NR_accept,
    __NR_setsockopt,
    __NR_getsockopt,
    __NR_connect,
    __NR_shutdown,
    __NR_getsockname,
    __NR_getpeername,
    __NR_bind,
    __NR_sendmmsg,
    __NR_recvmmsg,
    __NR_timerfd_settime,
    __NR_timerfd_create,
    __NR_eventfd2,
    __NR_epoll_create1,
    __NR_ppoll,
#ifdef __NR_poll
    __NR_poll,
#endif
    // memory
    __NR_madvise,
    __NR_munmap,
    __NR_mremap,
    __NR_brk,
    __NR_mlock,
    // time and chance; most are answered without a call where the clock permits
    __NR_clock_gettime,
    __NR_clock_getres,
    __NR_gettimeofday,
    __NR_clock_nanosleep,
    __NR_nanosleep,
    __NR_getrandom,
#ifdef __NR_time
    __NR_time,
#endif
    // threads and signals
    __NR_sched_yield,
    __NR_sched_getaffinity,
    __NR_set_robust_list,
    __NR_rseq,
    __NR_getcpu,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_sigaltstack,
    __NR_getpid,
    __NR_gettid,
    __NR_exit,
    __NR_exit_group,
    __NR_restart_syscall,
    // files: which ones is Landlock's matter
    __NR_openat,
    __NR_fstat,
    __NR_newfstatat,
    __NR_lseek,
    __NR_getdents64,
    __NR_fcntl,
    __NR_readlinkat,
#ifdef __NR_open
    __NR_open,
    __NR_stat,
    __NR_lstat,
    __NR_readlink,
#endif
    // what the C library asks about machine and user
    __NR_uname,
    __NR_sysinfo,
    __NR_getuid,
    __NR_geteuid,
    __NR_getgid,
    __NR_getegid,
};

constexpr sock_filter statement(std::uint16_t code, std::uint32_t value) {
  return {code, 0, 0, value};
}
constexpr sock_filter load(std::size_t offset) {
  return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
constexpr sock_filter give(std::uint32_t action) { return statement(BPF_RET | BPF_K, action); }
constexpr std::uint32_t refuse_with(int code) {
  return SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(code) & SECCOMP_RET_DATA);
}
constexpr sock_filter kAllow = give(SECCOMP_RET_ALLOW);
constexpr sock_filter kRefuse = give(refuse_with(EPERM));

constexpr std::size_t kLow = 0, kHigh = 4;  // both architectures are little-endian
/// Reads half of the argument `index` of the call.
constexpr sock_filter argument(std::size_t index, std::size_t half = kLow) {
  return load(offsetof(seccomp_data, args) + 8 * index + half);
}

using Program = std::vector<sock_filter>;

/// Runs `body`, which ends in a decision on each of its ways, if the value at hand is `value`.
void when(Program& program, std::uint32_t value, const Program& body) {
  program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, static_cast<std::uint8_t>(body.size()), value});
  program.insert(program.end(), body.begin(), body.end());
}

/// As when(), if any bit of `bits` is set.
void when_any(Program& program, std::uint32_t bits, const Program& body) {
  program.push_back({BPF_JMP | BPF_JSET | BPF_K, 0, static_cast<std::uint8_t>(body.size()), bits});
  program.insert(program.end(), body.begin(), body.end());
}

/// Allowed if the argument has one of the values.
Program one_of(std::size_t index, std::initializer_list<unsigned long> values) {
  Program body{argument(index)};
  for (const unsigned long value : values) {
    when(body, static_cast<std::uint32_t>(value), {kAllow});
  }
  body.push_back(kRefuse);
  return body;
}

Program memory_without_execution() {
  Program body{argument(2)};
  when_any(body, PROT_EXEC, {kRefuse});
  body.push_back(kAllow);
  return body;
}

Program new_threads() {
  Program body{argument(0)};
  when_any(body, CLONE_THREAD, {kAllow});
  body.push_back(kRefuse);
  return body;
}

/// Streams and datagrams: a raw socket would get around the address guard and see others' packets.
Program sockets(LocalSockets local) {
  Program by_type{argument(1), statement(BPF_ALU | BPF_AND | BPF_K, 0xf)};
  when(by_type, SOCK_STREAM, {kAllow});
  when(by_type, SOCK_DGRAM, {kAllow});
  by_type.push_back(kRefuse);
  Program body{argument(0)};
  when(body, AF_INET, by_type);
  when(body, AF_INET6, by_type);
  // The C library asks for the machine's addresses to sort answers by them.
  when(body, AF_NETLINK, one_of(2, {0}));
  if (local == LocalSockets::allowed) when(body, AF_UNIX, {kAllow});
  body.push_back(kRefuse);
  return body;
}

/// Asking for limits, not setting them.
Program limits_to_read() {
  const Program low = one_of(2, {0});
  Program body{argument(2, kHigh)};
  when(body, 0, low);
  body.push_back(kRefuse);
  return body;
}

/// Refuses the calls of another architecture; the number of the call is at hand then.
Program program_begin() {
  return {load(offsetof(seccomp_data, arch)),
          {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, kArchitecture},
          kRefuse,
          load(offsetof(seccomp_data, nr))};
}

Program filter(LocalSockets local) {
  Program program = program_begin();
  // Calls of the x32 interface have bit 30 set and match no number below.
  for (const int number : kPlain) when(program, static_cast<std::uint32_t>(number), {kAllow});
  when(program, __NR_mmap, memory_without_execution());
  when(program, __NR_mprotect, memory_without_execution());
  when(program, __NR_socket, sockets(local));
  // No terminal can be typed into (TIOCSTI), no device be set.
  when(program, __NR_ioctl,
       one_of(1, {FIONBIO, FIONREAD, SIOCOUTQ, TCGETS, SIOCGIFINDEX, SIOCGIFNAME}));
  when(program, __NR_clone, new_threads());
  // A filter cannot see the flags of clone3; without it the C library calls clone.
  when(program, __NR_clone3, {give(refuse_with(ENOSYS))});
  when(program, __NR_tgkill, one_of(0, {static_cast<unsigned long>(::getpid())}));
  when(program, __NR_prlimit64, limits_to_read());
  program.push_back(kRefuse);
  return program;
}

/// openat() of one of the files: its own pointer, its own flags.
Program opening(std::span<const OpenedFile> files) {
  Program body{argument(1)};
  for (const OpenedFile& file : files) {
    const auto address = reinterpret_cast<std::uintptr_t>(file.path);
    Program high{argument(1, kHigh)};
    when(high, static_cast<std::uint32_t>(address >> 32),
         one_of(2, {static_cast<unsigned long>(file.flags)}));
    high.push_back(kRefuse);
    when(body, static_cast<std::uint32_t>(address), high);
  }
  body.push_back(kRefuse);
  return body;
}

Result<void> install(Program program) {
  const sock_fprog handed{static_cast<unsigned short>(program.size()), program.data()};
  // No code but our own runs in this process, so it needs no guard against its own speculation.
  constexpr unsigned kSpeculationStays = 1u << 2;
  constexpr unsigned kAllThreads = SECCOMP_FILTER_FLAG_TSYNC;
  const long done =
      ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, kAllThreads | kSpeculationStays, &handed);
  if (done == 0) return {};
  if (done > 0) return fail("a thread has a filter of its own");
  return fail(std::generic_category().message(errno));
}

}  // namespace

Result<void> restrict_system_calls(LocalSockets local) { return install(filter(local)); }

Result<void> restrict_to_opening(std::span<const OpenedFile> files) {
  Program program = program_begin();
  when(program, __NR_openat, opening(files));
  for (const int number : {__NR_recvfrom, __NR_sendmsg, __NR_close, __NR_exit_group}) {
    when(program, static_cast<std::uint32_t>(number), {kAllow});
  }
  program.push_back(kRefuse);
  return install(std::move(program));
}

}  // namespace iron::proxy
