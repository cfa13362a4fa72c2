// Preloaded into a program under test: fails the Nth allocation or socket call after the test says
// so. Both look at one mapped file, whose path is in FAILING_CALLS: see the struct.
// FAILING_CALLS_TRACE=1 prints where a call failed.
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {

struct Kind {
  std::atomic<std::uint64_t> fail_at;  ///< 0: neither counts nor fails
  std::atomic<std::uint64_t> count;
  std::atomic<std::uint64_t> failed;
};
struct Control {
  Kind memory, sockets;
};

Control* control = nullptr;
bool tracing = false;

__attribute__((constructor)) void map_control() {
  const char* path = std::getenv("FAILING_CALLS");
  if (path == nullptr) return;
  const int file = ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* mapped = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) return;
  tracing = std::getenv("FAILING_CALLS_TRACE") != nullptr;
  void* frame = nullptr;
  ::backtrace(&frame, 1);  // its first call allocates
  control = static_cast<Control*>(mapped);
}

void trace() {
  void* frames[40];
  const int count = ::backtrace(frames, 40);
  ::backtrace_symbols_fd(frames, count, STDERR_FILENO);
}

/// Whether this call is the one.
bool fails(Kind Control::* kind) {
  if (control == nullptr) return false;
  Kind& wanted = control->*kind;
  const std::uint64_t at = wanted.fail_at.load(std::memory_order_relaxed);
  if (at == 0 || wanted.count.fetch_add(1) + 1 != at) return false;
  wanted.failed.fetch_add(1);
  if (tracing) trace();
  return true;
}

bool memory_fails() {
  if (!fails(&Control::memory)) return false;
  errno = ENOMEM;
  return true;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return memory_fails() ? nullptr : __libc_malloc(size); }
void* calloc(std::size_t count, std::size_t size) {
  return memory_fails() ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* block, std::size_t size) {
  return size > 0 && memory_fails() ? nullptr : __libc_realloc(block, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  return memory_fails() ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  *block = memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

// What the kernel could answer to each at any time.
#define FAILING_SOCKET_CALL(result, name, error, parameters, arguments) \
  result name parameters {                                              \
    static const auto real = next<result(*) parameters>(#name);         \
    if (fails(&Control::sockets)) {                                     \
      errno = error;                                                    \
      return -1;                                                        \
    }                                                                   \
    return real arguments;                                              \
  }

FAILING_SOCKET_CALL(int, socket, EMFILE, (int a, int b, int c), (a, b, c))
FAILING_SOCKET_CALL(
    int, accept4, ECONNABORTED, (int a, sockaddr* b, socklen_t* c, int d), (a, b, c, d))
FAILING_SOCKET_CALL(int, connect, ENETUNREACH, (int a, const sockaddr* b, socklen_t c), (a, b, c))
FAILING_SOCKET_CALL(ssize_t, recv, ECONNRESET, (int a, void* b, std::size_t c, int d), (a, b, c, d))
FAILING_SOCKET_CALL(ssize_t, recvmsg, ECONNRESET, (int a, msghdr* b, int c), (a, b, c))
FAILING_SOCKET_CALL(
    ssize_t, send, EPIPE, (int a, const void* b, std::size_t c, int d), (a, b, c, d))
FAILING_SOCKET_CALL(ssize_t, sendmsg, EPIPE, (int a, const msghdr* b, int c), (a, b, c))
FAILING_SOCKET_CALL(ssize_t, writev, EPIPE, (int a, const iovec* b, int c), (a, b, c))
FAILING_SOCKET_CALL(int, shutdown, ENOTCONN, (int a, int b), (a, b))
FAILING_SOCKET_CALL(
    int, setsockopt, ENOBUFS, (int a, int b, int c, const void* d, socklen_t e), (a, b, c, d, e))
FAILING_SOCKET_CALL(
    int, getsockopt, ENOBUFS, (int a, int b, int c, void* d, socklen_t* e), (a, b, c, d, e))
// Only taking a descriptor in needs memory.
int epoll_ctl(int set, int operation, int descriptor, epoll_event* event) {
  static const auto real = next<int (*)(int, int, int, epoll_event*)>("epoll_ctl");
  if (operation == EPOLL_CTL_ADD && fails(&Control::sockets)) {
    errno = ENOMEM;
    return -1;
  }
  return real(set, operation, descriptor, event);
}
}
