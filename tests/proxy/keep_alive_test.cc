#include "proxy/net/keep_alive.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "proxy/net/bound_socket.h"
#include "tests/proxy/fake_name_server.h"

namespace iron::proxy {
namespace {

int option(int descriptor, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  ::getsockopt(descriptor, level, name, &value, &size);
  return value;
}

void expect_probes(int descriptor) {
  EXPECT_EQ(option(descriptor, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL), 10);
  EXPECT_EQ(option(descriptor, IPPROTO_TCP, TCP_KEEPCNT), 3);
}

TEST(KeepAlive, SetsTimesAndNumber) {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(option(socket.get(), SOL_SOCKET, SO_KEEPALIVE), 0);
  keep_alive(socket.get());
  expect_probes(socket.get());
}

TEST(KeepAlive, HoldsForAcceptedConnections) {
  auto listening = bind_socket("127.0.0.1:0", policy::Transport::tcp);
  ASSERT_TRUE(listening.has_value());
  ASSERT_EQ(::listen(listening->get(), 1), 0);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(listening->get(), reinterpret_cast<sockaddr*>(&address), &size);
  const Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  const Descriptor accepted(::accept(listening->get(), nullptr, nullptr));
  expect_probes(accepted.get());
}

}  // namespace
}  // namespace iron::proxy
