#include "proxy/net/bound_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

namespace iron::proxy {
namespace {

using policy::Transport;

TEST(BoundSocketTest, APortThatTheKernelChoseIsNobodyElses) {
  const Result<BoundSocket> first = bind_socket("127.0.0.1:0", Transport::tcp);
  ASSERT_TRUE(first.has_value()) << first.error().text;
  ASSERT_NE(first->local_port(), 0);
  const Result<BoundSocket> second = bind_socket(first->local_address(), Transport::tcp);
  ASSERT_TRUE(second.has_error()) << "before either listens";
  EXPECT_EQ(second.error().text,
            "listen tcp " + first->local_address() + ": bind: address already in use");
}

TEST(BoundSocketTest, ANamedPortCanBeHadAgainWhileConnectionsOfBeforeEnd) {
  std::string address;
  {
    const Result<BoundSocket> chosen = bind_socket("127.0.0.1:0", Transport::tcp);
    ASSERT_TRUE(chosen.has_value());
    address = chosen->local_address();
  }
  const Result<BoundSocket> named = bind_socket(address, Transport::tcp);
  ASSERT_TRUE(named.has_value()) << named.error().text;
  int reuse = 0;
  socklen_t size = sizeof reuse;
  ASSERT_EQ(::getsockopt(named->get(), SOL_SOCKET, SO_REUSEADDR, &reuse, &size), 0);
  EXPECT_EQ(reuse, 1);
}

TEST(BoundSocketTest, APortThatTheKernelChoseCanBeNamedAfterConnectionsToIt) {
  std::string address;
  {
    Result<BoundSocket> chosen = bind_socket("127.0.0.1:0", Transport::tcp);
    ASSERT_TRUE(chosen.has_value());
    ASSERT_TRUE(chosen->listen(1));
    address = chosen->local_address();
    sockaddr_storage where{};
    socklen_t size = sizeof where;
    ASSERT_EQ(::getsockname(chosen->get(), reinterpret_cast<sockaddr*>(&where), &size), 0);
    const BoundSocket client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&where), size), 0);
    // Who ends first keeps what is left of the connection for a minute.
    const BoundSocket accepted(::accept4(chosen->get(), nullptr, nullptr, SOCK_CLOEXEC));
    ::shutdown(accepted.get(), SHUT_RDWR);
  }
  Result<BoundSocket> named = bind_socket(address, Transport::tcp);
  ASSERT_TRUE(named.has_value()) << named.error().text;
  EXPECT_TRUE(named->listen(1));
}

TEST(BoundSocketTest, SaysWhereItIs) {
  const struct {
    const char* listen;
    const char* shown;
  } rows[] = {{"127.0.0.1:0", "127.0.0.1:"}, {"127.0.0.2:0", "127.0.0.2:"}, {":0", "[::]:"}};
  for (const auto& row : rows) {
    const Result<BoundSocket> bound = bind_socket(row.listen, Transport::tcp);
    ASSERT_TRUE(bound.has_value()) << row.listen << " " << bound.error().text;
    EXPECT_EQ(bound->local_address(), row.shown + std::to_string(bound->local_port()));
  }
}

}  // namespace
}  // namespace iron::proxy
