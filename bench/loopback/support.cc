#include "bench/loopback/support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace iron::bench {
namespace {

constexpr unsigned kLongestRun = 600;  // seconds
constexpr int kBacklog = 4096;
constexpr std::size_t kEventsAtOnce = 512;
constexpr std::size_t kReadAhead = 64 * 1024;
constexpr const char* kSuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int open_socket(int kind) {
  const int descriptor = ::socket(AF_INET, kind | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail("socket");
  return descriptor;
}

void bind_to(int descriptor, int port) {
  const sockaddr_in address = loopback(port);
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("bind to port " + std::to_string(port));
  }
}

void send_at_once(int descriptor) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kSecond +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void fail(const std::string& what) {
  std::fprintf(stderr, "%s (%s)\n", what.c_str(), std::strerror(errno));
  ERR_print_errors_fp(stderr);
  std::exit(2);
}

Arguments::Arguments(int count, char** values) {
  for (int i = 1; i < count; ++i) {
    const std::string argument = values[i];
    const std::size_t equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string::npos) {
      fail(argument + ": arguments have the form --name=value");
    }
    values_[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
  }
}

std::string Arguments::text(const std::string& name, const std::string& otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second;
}

double Arguments::number(const std::string& name, double otherwise) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return otherwise;
  char* end = nullptr;
  const double value = std::strtod(found->second.c_str(), &end);
  if (found->second.empty() || *end != '\0' || !std::isfinite(value) || value < 0) {
    fail("--" + name + "=" + found->second + ": not a number from 0 up");
  }
  return value;
}

std::uint64_t Arguments::count(const std::string& name, std::uint64_t otherwise) const {
  return static_cast<std::uint64_t>(number(name, static_cast<double>(otherwise)));
}

void prepare_process() {
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_TIMERSLACK, 1);
  ::alarm(kLongestRun);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

TlsContext make_context(End end) {
  TlsContext context(SSL_CTX_new(end == End::server ? TLS_server_method() : TLS_client_method()));
  if (!context) fail("TLS context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_ciphersuites(context.get(), kSuites);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), kReadAhead);
  return context;
}

void trust(SSL_CTX* context, const std::string& file) {
  if (SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) fail(file);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
}

int listen_tcp(int port) {
  const int listener = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bind_to(listener, port);
  if (::listen(listener, kBacklog) != 0) fail("listen");
  return listener;
}

int listen_udp() {
  const int descriptor = open_socket(SOCK_DGRAM | SOCK_NONBLOCK);
  bind_to(descriptor, 0);
  return descriptor;
}

int port_of(int descriptor) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    fail("getsockname");
  }
  return ntohs(address.sin_port);
}

int accept_tcp(int listener) {
  const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor >= 0) send_at_once(descriptor);
  return descriptor;
}

int connect_tcp(int port) {
  const int descriptor = open_socket(SOCK_STREAM);
  const sockaddr_in address = loopback(port);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(descriptor);
    return -1;
  }
  send_at_once(descriptor);
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return descriptor;
}

Poller::Poller() : descriptor_(::epoll_create1(EPOLL_CLOEXEC)), events_(kEventsAtOnce) {
  if (descriptor_ < 0) fail("epoll_create1");
}

Poller::~Poller() { ::close(descriptor_); }

void Poller::add(int descriptor, void* owner) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = owner;
  if (::epoll_ctl(descriptor_, EPOLL_CTL_ADD, descriptor, &event) != 0) fail("epoll_ctl");
}

void Poller::change(int descriptor, void* owner, bool reading, bool writing) {
  epoll_event event{};
  if (reading) event.events |= EPOLLIN;
  if (writing) event.events |= EPOLLOUT;
  event.data.ptr = owner;
  ::epoll_ctl(descriptor_, EPOLL_CTL_MOD, descriptor, &event);
}

std::span<const epoll_event> Poller::wait(std::uint64_t nanoseconds) {
  const timespec limit{static_cast<time_t>(nanoseconds / kSecond),
                       static_cast<long>(nanoseconds % kSecond)};
  const int ready = ::epoll_pwait2(descriptor_, events_.data(), static_cast<int>(events_.size()),
                                   &limit, nullptr);
  return {events_.data(), ready > 0 ? static_cast<std::size_t>(ready) : 0};
}

}  // namespace iron::bench
