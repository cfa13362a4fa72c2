#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/bound_socket.h"
#include "proxy/net/dialer.h"
#include "proxy/wait/socket_address.h"
#include "tests/proxy/fake_name_server.h"
#include "tests/proxy/wait_rig.h"

namespace iron::proxy {

/// Answers at its address, or, where it is `slow`, answers nothing: its backlog is full, and the
/// kernel drops what asks for more.
class Origin {
 public:
  Origin(const std::string& host, std::uint16_t port, bool slow = false)
      : socket_(*bind_socket(host + ":" + std::to_string(port), policy::Transport::tcp)) {
    EXPECT_EQ(::listen(socket_.get(), slow ? 0 : 16), 0);
    if (!slow) return;
    const SocketAddress here = SocketAddress::local(socket_.get());
    filler_ = BoundSocket(::socket(here.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(filler_.get(), here.get(), here.size), 0);
  }
  std::string address() const { return socket_.local_address(); }
  std::uint16_t port() const { return socket_.local_port(); }
  /// The next connection, or -1.
  BoundSocket accept() const {
    return BoundSocket(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }

 private:
  BoundSocket socket_, filler_;
};

/// Who wants the connection.
struct Dialling final : Abandonment {
  bool abandoned() override { return gone; }
  bool gone = false;
};

/// Dials under a clock of the test, to names that a server of the test knows.
class DialerTest : public WaitTest {
 protected:
  DialerTest() {
    names_.emplace([this](const FakeNameServer::Asked& asked) {
      const std::lock_guard lock(mutex_);
      return answer_(asked);
    });
    Resolver::Options options;
    options.upstream_resolver = names_->address();
    options.hosts = options.resolv_conf = options.nsswitch = "/dev/null";
    options.try_limit = std::chrono::milliseconds(300);
    resolver_.emplace(options);
    resolver_->start();
    lookups_.emplace(loop_, *resolver_);
    dialer_.emplace(*lookups_, pool_, tls_, own_);
  }
  ~DialerTest() override {
    loop_.cut_all();
    settle();
  }

  /// What the name server says from now on; called on its thread.
  void set_answer(FakeNameServer::Answer answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  /// Every name but one has these addresses from now on.
  void set_addresses(std::vector<std::string> addresses) {
    set_answer([addresses = std::move(addresses)](const FakeNameServer::Asked& asked) {
      if (asked.name == "nx.test.") {
        return std::vector{FakeNameServer::reply(asked, {}, dns::Rcode::no_such_name)};
      }
      return std::vector{FakeNameServer::address_reply(asked, addresses)};
    });
  }

  /// To a literal, or to a name that has `addresses`.
  void dial(const std::string& host, std::uint16_t port, std::vector<std::string> addresses = {}) {
    set_addresses(std::move(addresses));
    dial_as_named(host, port);
  }
  /// The name server says what it said before.
  void dial_as_named(const std::string& host, std::uint16_t port) {
    outcome_.reset();
    target_.host = host;
    target_.literal = policy::IpAddress::parse(host);
    target_.port = port;
    UpstreamPool::make_key(target_, key_);
    spawn(run());
    settle();
  }
  Task<void> run() {
    const DialRequest request{deny_, target_, key_, client_, address_};
    outcome_ = co_await dialer_->dial(pause_, request);
  }
  bool over() const { return outcome_.has_value(); }
  /// For what comes from the kernel or another thread.
  template <class Done>
  bool settle_until(Done done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done() && std::chrono::steady_clock::now() < limit)
      loop_.turn(std::chrono::milliseconds(5));
    settle();
    return done();
  }
  std::string result() {
    if (!settle_until([this] { return over(); })) return "not over";
    if (outcome_->has_error()) return outcome_->error().text;
    return "connected " + (**outcome_)->address;
  }
  /// Time passes, although nothing is known to have happened.
  void pass(std::chrono::nanoseconds by) {
    for (int i = 0; i < 3; ++i) loop_.turn(std::chrono::milliseconds(2));
    advance(by);
  }

  policy::DenyList deny_;
  OwnAddresses own_;
  IdleBudget idle_;
  UpstreamPool pool_{loop_, idle_, 1};
  UpstreamTls tls_;
  std::mutex mutex_;
  FakeNameServer::Answer answer_;
  std::optional<FakeNameServer> names_;
  std::optional<Resolver> resolver_;
  std::optional<dns::LocalLookups> lookups_;
  std::optional<Dialer> dialer_;
  Pause pause_{loop_};
  Dialling client_;
  UpstreamTarget target_;
  std::string key_, address_;
  std::optional<Result<UpstreamPtr>> outcome_;
};

}  // namespace iron::proxy
