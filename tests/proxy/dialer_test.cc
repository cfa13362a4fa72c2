#include "proxy/net/dialer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/dialer_rig.h"
#include "tests/proxy/no_descriptors.h"

namespace iron::proxy {
namespace {

using namespace std::chrono_literals;
using Asked = FakeNameServer::Asked;

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::string at(const char* host, std::uint16_t port) {
  return std::string(host) + ":" + std::to_string(port);
}

TEST_F(DialerTest, ALiteralIsConnectedTo) {
  const Origin origin("127.0.0.1", 0);
  dial("127.0.0.1", origin.port());
  EXPECT_EQ(result(), "connected " + origin.address());
  EXPECT_EQ(address_, origin.address());
  UpstreamConnection& made = ***outcome_;
  EXPECT_EQ(made.key, key_);
  EXPECT_FALSE(made.reused);
  int no_delay = 0, keep_alive = 0;
  socklen_t size = sizeof no_delay;
  const int descriptor = made.connection.stream().descriptor();
  ASSERT_EQ(::getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
  ASSERT_EQ(::getsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &keep_alive, &size), 0);
  EXPECT_EQ(no_delay, 1);
  EXPECT_EQ(keep_alive, 1);
  EXPECT_GE(origin.accept().get(), 0);
  EXPECT_TRUE(names_->asked().empty());
}

TEST_F(DialerTest, ANameIsLookedUp) {
  const Origin origin("127.0.0.1", 0);
  dial("a.test", origin.port(), {"127.0.0.1"});
  EXPECT_EQ(result(), "connected " + origin.address());
  dial("nx.test", origin.port());
  EXPECT_EQ(result(), "dial tcp: lookup nx.test on 127.0.0.1:53: no such host");
  dial("none.test", origin.port(), {});
  EXPECT_EQ(result(), "dial tcp: lookup none.test on 127.0.0.1:53: no such host");
}

TEST_F(DialerTest, WhatIsDeniedIsNeverConnectedTo) {
  const Origin denied("127.0.0.9", 0);
  const Origin other("127.0.0.1", denied.port());
  deny_ = policy::DenyList({"127.0.0.8/29", "::1/128"});
  const struct {
    const char* host;
    std::vector<std::string> addresses;
    std::string result;
  } rows[] = {
      {"127.0.0.9", {}, "127.0.0.9 in 127.0.0.8/29"},
      {"::1", {}, "::1 in ::1/128"},
      {"::ffff:127.0.0.9", {}, "127.0.0.9 in 127.0.0.8/29"},
      {"64:ff9b::7f00:9", {}, "127.0.0.9 in 127.0.0.8/29"},
      {"one.test", {"127.0.0.9"}, "127.0.0.9 in 127.0.0.8/29"},
      {"two.test", {"127.0.0.9", "127.0.0.10", "::1"}, "127.0.0.9 in 127.0.0.8/29"},
  };
  for (const auto& row : rows) {
    dial(row.host, denied.port(), row.addresses);
    const std::string got = result();
    EXPECT_TRUE(got.starts_with("dial tcp ")) << got;
    EXPECT_TRUE(got.ends_with(": denied by upstream_deny_cidrs: " + row.result)) << got;
  }
  dial("mixed.test", denied.port(), {"127.0.0.9", "127.0.0.1"});
  EXPECT_EQ(result(), "connected " + other.address());
  EXPECT_LT(denied.accept().get(), 0);
}

TEST_F(DialerTest, TheProxyItselfIsNeverConnectedTo) {
  const Origin own("127.0.0.1", 0);
  own_.add(*policy::IpAddress::parse("127.0.0.1"), own.port());
  for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
    dial(host, own.port());
    EXPECT_EQ(result(), "dial tcp " + at(host, own.port()) + ": own listener");
  }
  EXPECT_LT(own.accept().get(), 0);
}

TEST_F(DialerTest, TheFirstErrorIsToldAndTheLastAddress) {
  std::uint16_t port = 0;
  {
    const Origin gone("127.0.0.1", 0);
    port = gone.port();
  }
  deny_ = policy::DenyList({"127.0.0.9/32"});
  dial("127.0.0.1", port);
  EXPECT_EQ(result(), "dial tcp " + at("127.0.0.1", port) + ": connect: connection refused");
  EXPECT_EQ(address_, at("127.0.0.1", port));
  dial("a.test", port, {"127.0.0.1", "127.0.0.2"});
  EXPECT_EQ(result(), "dial tcp " + at("127.0.0.1", port) + ": connect: connection refused");
  EXPECT_EQ(address_, at("127.0.0.2", port));
  dial("b.test", port, {"127.0.0.9", "127.0.0.1"});
  EXPECT_EQ(result(), "dial tcp " + at("127.0.0.9", port) +
                          ": denied by upstream_deny_cidrs: 127.0.0.9 in 127.0.0.9/32");
  EXPECT_EQ(address_, at("127.0.0.1", port));
}

TEST_F(DialerTest, TheNextAddressFollowsAFailureAtOnce) {
  const Origin last("127.0.0.3", 0);
  dial("a.test", last.port(), {"127.0.0.1", "127.0.0.2", "127.0.0.3"});
  EXPECT_EQ(result(), "connected " + last.address()) << "the clock stands still";
  EXPECT_EQ(address_, last.address());
}

TEST_F(DialerTest, TheNextAddressFollowsASlowOneAfter300Milliseconds) {
  const Origin slow("127.0.0.1", 0, true);
  const Origin next("127.0.0.2", slow.port());
  const struct {
    const char* name;
    std::vector<std::string> addresses;
  } rows[] = {{"a.test", {"127.0.0.1", "127.0.0.2"}}};
  for (const auto& row : rows) {
    dial(row.name, slow.port(), row.addresses);
    ASSERT_TRUE(settle_until([&] { return address_ == slow.address(); }));
    pass(299ms);
    EXPECT_FALSE(over());
    EXPECT_EQ(address_, slow.address());
    pass(20ms);  // with the grain of deadlines
    EXPECT_EQ(result(), "connected " + next.address());
  }
}

TEST_F(DialerTest, TheOtherFamilyFollowsAfter300Milliseconds) {
  if (bind_socket("[::1]:0", policy::Transport::tcp).has_error()) GTEST_SKIP() << "no IPv6";
  const Origin slow("127.0.0.1", 0, true);
  const Origin other("[::1]", slow.port());
  dial("a.test", slow.port(), {"127.0.0.1", "::1"});
  ASSERT_TRUE(settle_until([&] { return address_ == slow.address(); }));
  pass(299ms);
  EXPECT_EQ(address_, slow.address());
  pass(20ms);
  EXPECT_EQ(result(), "connected " + other.address());
  // And at once where the first has nothing left.
  deny_ = policy::DenyList({"127.0.0.0/8"});
  dial("b.test", slow.port(), {"127.0.0.1", "::1"});
  EXPECT_EQ(result(), "connected " + other.address());
}

TEST_F(DialerTest, WhoWasSlowMayStillWin) {
  const Origin slow("127.0.0.1", 0, true);
  const Origin slower("127.0.0.2", slow.port(), true);
  dial("a.test", slow.port(), {"127.0.0.1", "127.0.0.2"});
  ASSERT_TRUE(settle_until([&] { return address_ == slow.address(); }));
  pass(320ms);
  EXPECT_EQ(address_, slower.address());
  // The kernel asks again after a second, and there is room now.
  const BoundSocket filler = slow.accept();
  EXPECT_EQ(result(), "connected " + slow.address());
  EXPECT_EQ(address_, slow.address()) << "the one that is used";
}

TEST_F(DialerTest, WhoNeverAnswersHasThirtySecondsInAll) {
  const Origin slow("127.0.0.1", 0, true);
  const Origin slower("127.0.0.2", slow.port(), true);
  const struct {
    const char* host;
    std::vector<std::string> addresses;
  } rows[] = {{"127.0.0.1", {}}, {"a.test", {"127.0.0.1", "127.0.0.2"}}};
  for (const auto& row : rows) {
    dial(row.host, slow.port(), row.addresses);
    ASSERT_TRUE(settle_until([&] { return !address_.empty(); }));
    for (int tenth = 0; tenth < 299; ++tenth) advance(100ms);
    EXPECT_FALSE(over()) << row.host;
    for (int tenth = 0; tenth < 5; ++tenth) advance(100ms);
    EXPECT_EQ(result(), "dial tcp " + slow.address() + ": i/o timeout");
    address_.clear();
  }
}

TEST_F(DialerTest, FourAddressesAreTriedAtOnce) {
  std::deque<Origin> slow;
  std::vector<std::string> addresses;
  for (int i = 1; i <= 6; ++i) {
    const std::string host = "127.0.0." + std::to_string(i);
    slow.emplace_back(host, slow.empty() ? 0 : slow.front().port(), true);
    addresses.push_back(host);
  }
  dial("a.test", slow.front().port(), addresses);
  ASSERT_TRUE(settle_until([&] { return address_ == slow.front().address(); }));
  const std::size_t with_one = open_descriptors();
  for (std::size_t started = 2; started <= 4; ++started) {
    advance(320ms);
    EXPECT_EQ(open_descriptors(), with_one + started - 1);
  }
  for (int i = 0; i < 5; ++i) advance(320ms);
  EXPECT_EQ(open_descriptors(), with_one + 3);
  EXPECT_EQ(address_, slow[3].address());
  client_.gone = true;
  advance(30s);
  EXPECT_TRUE(over());
  EXPECT_EQ(open_descriptors(), with_one - 1) << "nothing is left of them";
}

TEST_F(DialerTest, NobodyIsDialledForAClientThatIsGone) {
  const Origin slow("127.0.0.1", 0, true);
  const auto gone = [this] { return over() && outcome_->error().fault == Fault::client_gone; };
  client_.gone = true;
  dial("127.0.0.1", slow.port());
  EXPECT_TRUE(gone()) << "before anything";
  EXPECT_EQ(address_, "");
  client_.gone = false;
  dial("127.0.0.1", slow.port());
  EXPECT_FALSE(over());
  client_.gone = true;
  pause_.wake();
  settle();
  EXPECT_TRUE(gone()) << "while it is connected to";
  client_.gone = false;
  dial("127.0.0.1", slow.port());
  loop_.begin_drain();
  settle();
  EXPECT_FALSE(over()) << "the drain waits for who is at something";
  loop_.cut_all();
  settle();
  EXPECT_TRUE(gone());
}

TEST_F(DialerTest, NobodyWaitsForALookupInVain) {
  set_answer([](const Asked&) { return std::vector<std::string>(); });
  dial_as_named("a.test", 80);
  ASSERT_TRUE(settle_until([&] { return !names_->asked().empty(); }));
  EXPECT_FALSE(over());
  client_.gone = true;
  pause_.wake();
  settle();
  ASSERT_TRUE(over());
  EXPECT_EQ(outcome_->error().fault, Fault::client_gone);
}

TEST_F(DialerTest, AFamilyThatComesLateJoinsTheRaceOfTheFirst) {
  if (bind_socket("[::1]:0", policy::Transport::tcp).has_error()) GTEST_SKIP() << "no IPv6";
  const Origin other("[::1]", 0);
  // The addresses of IPv6 come when they are asked for again.
  set_answer([](const Asked& asked) {
    if (asked.query.type != dns::kTypeA && asked.number == 0) return std::vector<std::string>();
    return std::vector{FakeNameServer::address_reply(asked, {"127.0.0.1", "::1"})};
  });
  dial_as_named("a.test", other.port());
  const auto refused = [&] {
    advance(10ms);
    return address_ == at("127.0.0.1", other.port());
  };
  ASSERT_TRUE(settle_until(refused));
  EXPECT_FALSE(over()) << "all that is known was refused, and more may come";
  const auto dialled = [this] {
    advance(10ms);
    return over();
  };
  ASSERT_TRUE(settle_until(dialled));
  EXPECT_EQ(result(), "connected " + other.address());
}

TEST_F(DialerTest, WithoutADescriptorTheIdleOnesMakeWay) {
  const Origin origin("127.0.0.1", 0);
  const int before = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
  ::close(before);
  {
    const NoDescriptors none;
    dial("127.0.0.1", origin.port());
    EXPECT_EQ(result(), "dial tcp " + origin.address() + ": socket: too many open files");
  }
  dial("127.0.0.1", origin.port());
  ASSERT_EQ(result(), "connected " + origin.address());
  pool_.put(std::move(**outcome_));
  ASSERT_EQ(pool_.idle_count(), 1u);
  const NoDescriptors none;
  dial("127.0.0.1", origin.port());
  EXPECT_EQ(result(), "connected " + origin.address());
  EXPECT_EQ(pool_.idle_count(), 0u);
}

}  // namespace
}  // namespace iron::proxy
