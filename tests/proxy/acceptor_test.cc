#include "proxy/client/acceptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/wait/socket_address.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using test::ScriptedPeer;

/// A listener of one site.
class AcceptorTest : public testing::Test {
 protected:
  ~AcceptorTest() override {
    if (acceptor_ == nullptr) return;
    acceptor_->stop(rig_.site());
    rig_.settle();
    acceptor_.reset();
  }
  void listen(Entry entry) {
    auto bound = bind_socket("127.0.0.1:0", policy::Transport::tcp);
    ASSERT_TRUE(bound.has_value());
    server_ = SocketAddress::local(bound->get());
    acceptor_ = std::make_unique<Acceptor>(rig_.services(), std::move(*bound), entry);
    acceptor_->listen();
    acceptor_->start(rig_.site());
  }
  ScriptedPeer& connect(std::string_view bytes = "") {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(client, server_.get(), server_.size), 0);
    ::fcntl(client, F_SETFL, O_NONBLOCK);
    ScriptedPeer& peer = rig_.adopt(client);
    peer.send(bytes);
    peer.move();
    return peer;
  }
  bool settle_until(const std::function<bool()>& done) { return rig_.settle_until(done); }
  std::string record(std::size_t number = 0) {
    const auto& all = rig_.records();
    return number < all.size() ? all[number].text() : "none";
  }

  test::SessionRig rig_;
  SocketAddress server_;
  std::unique_ptr<Acceptor> acceptor_;
};

TEST_F(AcceptorTest, GivesEachConnectionToASession) {
  for (const Entry entry : {Entry::http, Entry::https, Entry::tunnel}) {
    const std::size_t before = rig_.sessions();
    listen(entry);
    EXPECT_EQ(acceptor_->entry(), entry);
    EXPECT_EQ(acceptor_->address(), server_.text());
    ScriptedPeer& one = connect();
    connect();
    EXPECT_TRUE(settle_until([&] { return rig_.sessions() == before + 2; }));
    one.close();
    EXPECT_TRUE(settle_until([&] { return rig_.sessions() == before + 1; }));
    acceptor_->stop(rig_.site());
    rig_.settle();
  }
}

TEST_F(AcceptorTest, ASessionKnowsItsClient) {
  listen(Entry::http);
  ScriptedPeer& client = connect("GET /a HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(settle_until([&] { return client.end() == ScriptedPeer::End::eof; }));
  ASSERT_EQ(rig_.records().size(), 1u);
  EXPECT_EQ(rig_.records()[0].remote.substr(0, 10), "127.0.0.1:");
  EXPECT_NE(rig_.records()[0].remote, server_.text());
}

TEST_F(AcceptorTest, BeyondTheLimitClientsAreTurnedAway) {
  const struct {
    Entry entry;
    std::string answer, record;
  } rows[] = {
      {Entry::http,
       "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
       "Connection: close\r\n\r\n503 Service Unavailable",
       "reject 503 0/0 by protocol: connection limit reached"},
      {Entry::https, "", "reject 400 0/0 by protocol: connection limit reached"},
      {Entry::tunnel, "", "reject 400 0/0 by protocol: connection limit reached"},
  };
  rig_.services().gate.set_limits(1, 0);
  std::size_t records = 0;
  for (const auto& row : rows) {
    listen(row.entry);
    ScriptedPeer& admitted = connect();
    EXPECT_TRUE(settle_until([&] { return rig_.sessions() == 1; }));
    // What the client has sent by then must not make a reset of the answer.
    ScriptedPeer& refused = connect("GET / HTTP/1.1\r\nHost: h.test\r\n\r\n");
    EXPECT_TRUE(settle_until([&] { return refused.end() != ScriptedPeer::End::none; }));
    EXPECT_EQ(rig_.sessions(), 1u);
    EXPECT_EQ(refused.received(), row.answer);
    EXPECT_EQ(record(records++), row.record);
    if (row.entry == Entry::http) EXPECT_EQ(refused.end(), ScriptedPeer::End::eof);
    // Who was turned away has no place, and who leaves gives his back.
    admitted.close();
    EXPECT_TRUE(settle_until([&] { return rig_.sessions() == 0; }));
    ScriptedPeer& next = connect();
    EXPECT_TRUE(settle_until([&] { return rig_.sessions() == 1; }));
    next.close();
    EXPECT_TRUE(settle_until([&] { return rig_.sessions() == 0; }));
    acceptor_->stop(rig_.site());
    rig_.settle();
  }
  rig_.services().gate.set_limits(64, 64);  // as the rig wants to find it
}

TEST_F(AcceptorTest, StopsOnItsSiteAlone) {
  listen(Entry::http);
  test::SessionRig other;
  acceptor_->start(other.site());
  acceptor_->stop(rig_.site());
  acceptor_->stop(rig_.site());
  rig_.settle();
  connect();
  EXPECT_TRUE(other.settle_until([&] { return other.sessions() == 1; }));
  rig_.settle();
  EXPECT_EQ(rig_.sessions(), 0u);
  acceptor_->stop(other.site());
  other.settle();
  other.site().loop().cut_all();
  other.settle();
  acceptor_.reset();  // before the loop that it was on
}

TEST_F(AcceptorTest, AConflictIsFoundWhereItListens) {
  std::string address;
  {
    const auto chosen = bind_socket("127.0.0.1:0", policy::Transport::tcp);
    ASSERT_TRUE(chosen.has_value());
    address = chosen->local_address();
  }
  const struct {
    Entry entry;
    std::string what;
  } rows[] = {{Entry::http, "proxy: http listen: "},
              {Entry::https, "proxy: https listen: "},
              {Entry::tunnel, "proxy: tunnel: tunnel listen: "}};
  for (const auto& row : rows) {
    auto first = bind_socket(address, policy::Transport::tcp);
    auto second = bind_socket(address, policy::Transport::tcp);
    ASSERT_TRUE(first.has_value() && second.has_value()) << "neither listens";
    ASSERT_TRUE(first->listen(1));
    Acceptor acceptor(rig_.services(), std::move(*second), row.entry);
    try {
      acceptor.listen();
      ADD_FAILURE() << "it listens";
    } catch (const ListenFailed& failed) {
      EXPECT_EQ(failed.what, row.what);
      EXPECT_EQ(failed.reason, "listen tcp " + address + ": bind: address already in use");
    }
  }
}

/// So few descriptors that two clients take all that are for clients.
class AcceptorWithFewDescriptors : public AcceptorTest {
 protected:
  AcceptorWithFewDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    // Of up to 64 there are 16 kept for what clients ask for. The clients' own ends count here too,
    // so what is free below is filled up.
    rlimit few = before_;
    few.rlim_cur = 256;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    listen(Entry::http);
    constexpr int kForClients = 256 - 64;
    while (true) {
      const int next = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
      fillers_.emplace_back(next);
      if (next >= kForClients - 4) break;
    }
  }
  ~AcceptorWithFewDescriptors() override { ::setrlimit(RLIMIT_NOFILE, &before_); }
  /// The test's own ends go beyond what is for clients.
  ScriptedPeer& connect_far() {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(client, server_.get(), server_.size), 0);
    const int far = ::fcntl(client, F_DUPFD_CLOEXEC, 200);
    ::close(client);
    ::fcntl(far, F_SETFL, O_NONBLOCK);
    return rig_.adopt(far);
  }
  /// Until nobody more gets in.
  std::vector<ScriptedPeer*> fill() {
    std::vector<ScriptedPeer*> clients;
    while (clients.size() < 20) {
      clients.push_back(&connect_far());
      if (!settle_briefly([&] { return rig_.sessions() == clients.size(); })) break;
    }
    return clients;
  }
  /// As settle_until(), for what is expected not to happen.
  bool settle_briefly(const std::function<bool()>& done) {
    for (int round = 0; round < 20; ++round) {
      rig_.settle();
      if (done()) return true;
    }
    return false;
  }
  std::size_t warnings() {
    notes_ += rig_.notes();
    std::size_t count = 0;
    for (std::size_t at = 0; (at = notes_.find("\"accept paused\"", at)) != notes_.npos; ++at) {
      ++count;
    }
    return count;
  }

  rlimit before_{};
  std::vector<BoundSocket> fillers_;
  std::string notes_;
};

TEST_F(AcceptorWithFewDescriptors, AQuarterIsKeptForWhatClientsAskFor) {
  const std::vector<ScriptedPeer*> clients = fill();
  ASSERT_GT(clients.size(), 1u);
  ASSERT_LT(clients.size(), 20u);
  EXPECT_EQ(rig_.sessions(), clients.size() - 1);
  const int next = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
  EXPECT_GE(next, 256 - 64) << "and there are more";
  ::close(next);
  // Who waited gets in when somebody leaves and the rest is over.
  clients[0]->close();
  rig_.settle();
  rig_.advance(150ms);
  EXPECT_TRUE(settle_until([&] { return rig_.sessions() == clients.size() - 1; }));
}

TEST_F(AcceptorWithFewDescriptors, IdleConnectionsMakeWayFirst) {
  rig_.add_origin();
  ASSERT_EQ(rig_.site().pool().idle_count(), 1u);
  const std::vector<ScriptedPeer*> clients = fill();
  EXPECT_EQ(rig_.site().pool().idle_count(), 0u);
  EXPECT_EQ(rig_.sessions(), clients.size() - 1);
}

TEST_F(AcceptorWithFewDescriptors, SaysSoOnceASecond) {
  fill();
  EXPECT_EQ(warnings(), 1u);
  EXPECT_NE(notes_.find("accept tcp " + acceptor_->address() + ": accept4: too many open files"),
            notes_.npos);
  // It rests for 100, 200, 400 and 800 ms, and looks again behind each.
  for (int tenth = 0; tenth < 9; ++tenth) rig_.advance(110ms);
  EXPECT_EQ(warnings(), 1u);
  for (int tenth = 0; tenth < 8; ++tenth) rig_.advance(110ms);
  EXPECT_EQ(warnings(), 2u);
}

TEST_F(AcceptorWithFewDescriptors, AllListenersSaySoTogether) {
  const std::unique_ptr<Acceptor> first = std::move(acceptor_);
  const SocketAddress first_server = server_;
  listen(Entry::http);
  fill();
  EXPECT_EQ(warnings(), 1u);
  server_ = first_server;
  connect_far();
  settle_briefly([] { return false; });
  EXPECT_EQ(warnings(), 1u);
  first->stop(rig_.site());
  rig_.settle();
}

}  // namespace
}  // namespace iron::proxy
