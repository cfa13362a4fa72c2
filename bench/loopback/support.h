#pragma once

#include <openssl/ssl.h>
#include <sys/epoll.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

/// What the programs of bench/overhead share: clock, sockets on loopback, TLS, waiting.
namespace iron::bench {

constexpr std::uint64_t kSecond = 1'000'000'000;  ///< nanoseconds

/// Nanoseconds of the monotonic clock, which all processes of the machine share.
std::uint64_t now();

/// Ends the program: `what`, errno and OpenSSL's errors to standard error, exit code 2.
[[noreturn]] void fail(const std::string& what);

/// Arguments of the form `--name=value`. What has another form ends the program.
class Arguments {
 public:
  Arguments(int count, char** values);

  std::string text(const std::string& name, const std::string& otherwise = {}) const;
  /// A number that is not negative; ends the program where the value is something else.
  double number(const std::string& name, double otherwise = 0) const;
  std::uint64_t count(const std::string& name, std::uint64_t otherwise = 0) const;

 private:
  std::map<std::string, std::string> values_;
};

/// As many descriptors as allowed, timers without slack, no SIGPIPE; and the program ends with the
/// one that started it, and after ten minutes in any case.
void prepare_process();

struct FreeTls {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Tls = std::unique_ptr<SSL, FreeTls>;
using TlsContext = std::unique_ptr<SSL_CTX, FreeTls>;
using TlsSession = std::unique_ptr<SSL_SESSION, FreeTls>;

enum class End { client, server };
/// TLS 1.2 or later, AES-128-GCM first on both ends, so that a proxy which leaves the choice to its
/// peer is not charged for a longer key.
TlsContext make_context(End end);
/// Verifies peers by the certificates of this file.
void trust(SSL_CTX* context, const std::string& file);

/// Non-blocking sockets on 127.0.0.1. `port` 0 of a listener: any. They end the program where the
/// kernel refuses.
int listen_tcp(int port = 0);
int listen_udp();
int port_of(int descriptor);
/// The next waiting connection, or -1.
int accept_tcp(int listener);
/// -1 where nobody listens.
int connect_tcp(int port);

/// A level-triggered epoll set.
class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// `owner` comes back in the event's data.ptr.
  void add(int descriptor, void* owner);
  void change(int descriptor, void* owner, bool reading, bool writing);
  /// What is ready after at most `nanoseconds`; valid until the next call.
  std::span<const epoll_event> wait(std::uint64_t nanoseconds);

 private:
  int descriptor_;
  std::vector<epoll_event> events_;
};

}  // namespace iron::bench
