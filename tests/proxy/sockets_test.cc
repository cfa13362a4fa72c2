#include "proxy/net/sockets.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

namespace iron::proxy {
namespace {

/// Everywhere on loopback, on ports of the kernel's choice.
policy::Config usual() {
  policy::Config config;
  config.proxy.http_listen = "127.0.0.1:0";
  config.proxy.https_listen = "127.0.0.2:0";
  config.proxy.tunnel_listen = "127.0.0.3:0";
  config.metrics.listen = "127.0.0.4:0";
  config.management.listen = "127.0.0.5:0";
  config.dns.listen = "127.0.0.6:0";
  return config;
}

std::string host_of(const BoundSocket& socket) {
  if (socket.get() < 0) return "none";
  const std::string address = socket.local_address();
  return address.substr(0, address.rfind(':'));
}

std::string shown(Entry entry, const BoundSocket& socket) {
  const char* const names[] = {"http ", "https ", "tunnel "};
  return names[static_cast<int>(entry)] + host_of(socket);
}

std::vector<std::string> traffic_of(const Sockets& sockets) {
  std::vector<std::string> all;
  for (const Sockets::Bound& bound : sockets.traffic)
    all.push_back(shown(bound.entry, bound.socket));
  return all;
}

TEST(Sockets, AreThoseOfTheConfiguration) {
  const Sockets sockets = bind_all(usual());
  EXPECT_EQ(traffic_of(sockets),
            (std::vector<std::string>{"http 127.0.0.1", "https 127.0.0.2", "tunnel 127.0.0.3"}));
  EXPECT_EQ(host_of(sockets.metrics), "127.0.0.4");
  EXPECT_EQ(host_of(sockets.management), "127.0.0.5");
  EXPECT_EQ(host_of(sockets.dns_udp), "127.0.0.6");
  EXPECT_EQ(sockets.dns_udp.local_address(), sockets.dns_tcp.local_address());
  int type = 0;
  socklen_t size = sizeof type;
  ASSERT_EQ(::getsockopt(sockets.dns_udp.get(), SOL_SOCKET, SO_TYPE, &type, &size), 0);
  EXPECT_EQ(type, SOCK_DGRAM);
  int listens = 1;
  ASSERT_EQ(
      ::getsockopt(sockets.traffic[0].socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size), 0);
  EXPECT_EQ(listens, 0) << "nobody is answered before the start is over";
}

TEST(Sockets, WhatIsNotConfiguredIsNotBound) {
  policy::Config config = usual();
  config.proxy.tunnel_listen.clear();
  config.management.listen.clear();
  config.dns.enabled = false;
  const Sockets sockets = bind_all(config);
  EXPECT_EQ(traffic_of(sockets), (std::vector<std::string>{"http 127.0.0.1", "https 127.0.0.2"}));
  EXPECT_EQ(host_of(sockets.management), "none");
  EXPECT_EQ(host_of(sockets.dns_udp), "none");
  EXPECT_EQ(host_of(sockets.dns_tcp), "none");
}

TEST(Sockets, FurtherOnesStandBehindTheirFirst) {
  policy::Config config = usual();
  config.proxy.http_listens = {"127.0.0.7:0", "127.0.0.1:0", "127.0.0.7:0"};
  config.proxy.tunnel_listen.clear();
  config.proxy.tunnel_listens = {"127.0.0.8:0"};
  EXPECT_EQ(traffic_of(bind_all(config)),
            (std::vector<std::string>{"http 127.0.0.1", "http 127.0.0.7", "https 127.0.0.2",
                                      "tunnel 127.0.0.8"}))
      << "the same address is bound once";
}

/// How a start ends.
std::string failure_of(const policy::Config& config) {
  try {
    bind_all(config);
  } catch (const ListenFailed& failed) {
    return failed.what + failed.reason;
  }
  return "none";
}

TEST(Sockets, AConflictIsReportedByItsListener) {
  Result<BoundSocket> taken = bind_socket("127.0.0.1:0", policy::Transport::tcp);
  ASSERT_TRUE(taken.has_value());
  ASSERT_TRUE(taken->listen(1));
  const std::string address = taken->local_address();
  const std::string reason = "listen tcp " + address + ": bind: address already in use";
  const struct {
    void (*take)(policy::Config& config, const std::string& address);
    const char* what;
  } rows[] = {
      {[](policy::Config& config, const std::string& at) { config.proxy.http_listen = at; },
       "proxy: http listen: "},
      {[](policy::Config& config, const std::string& at) { config.proxy.http_listens = {at}; },
       "proxy: http listen: "},
      {[](policy::Config& config, const std::string& at) { config.proxy.https_listen = at; },
       "proxy: https listen: "},
      {[](policy::Config& config, const std::string& at) { config.proxy.tunnel_listen = at; },
       "proxy: tunnel: tunnel listen: "},
      {[](policy::Config& config, const std::string& at) { config.proxy.tunnel_listens = {at}; },
       "proxy: tunnel: tunnel listen: "},
      {[](policy::Config& config, const std::string& at) { config.metrics.listen = at; },
       "metrics: "},
      {[](policy::Config& config, const std::string& at) { config.management.listen = at; },
       "management: "},
      // UDP is free there, and TCP beside it is not.
      {[](policy::Config& config, const std::string& at) { config.dns.listen = at; }, "dns: "},
  };
  policy::Config all = usual();
  for (std::size_t i = std::size(rows); i-- > 0;) {
    policy::Config config = usual();
    rows[i].take(config, address);
    EXPECT_EQ(failure_of(config), rows[i].what + reason);
    rows[i].take(all, address);
    EXPECT_EQ(failure_of(all), rows[i].what + reason) << "the first of several";
  }
}

TEST(Sockets, AnAddressThatIsNoneIsReportedToo) {
  policy::Config config = usual();
  config.metrics.listen = "127.0.0.1";
  EXPECT_EQ(failure_of(config), "metrics: listen tcp: address 127.0.0.1: missing port in address");
  config = usual();
  config.dns.listen = "127.0.0.1:99999";
  EXPECT_EQ(failure_of(config), "dns: listen udp: address 99999: invalid port");
}

TEST(Sockets, OfAFailedStartNothingStaysBound) {
  const Result<BoundSocket> taken = bind_socket("127.0.0.1:0", policy::Transport::tcp);
  ASSERT_TRUE(taken.has_value());
  std::string first;
  {
    const Sockets sockets = bind_all(usual());
    first = sockets.traffic[0].socket.local_address();
  }
  policy::Config config = usual();
  config.proxy.http_listen = first;
  config.metrics.listen = taken->local_address();
  EXPECT_NE(failure_of(config), "none");
  EXPECT_TRUE(bind_socket(first, policy::Transport::tcp).has_value());
}

}  // namespace
}  // namespace iron::proxy
