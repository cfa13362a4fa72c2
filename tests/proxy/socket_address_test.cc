#include "proxy/wait/socket_address.h"

#include <gtest/gtest.h>

namespace iron::proxy {
namespace {

using policy::IpAddress;

TEST(SocketAddressTest, IsWhatItWasMadeOf) {
  for (const char* text : {"127.0.0.1", "10.1.2.3", "0.0.0.0", "::1", "2001:db8::7", "::"}) {
    const IpAddress address = IpAddress::parse(text).value();
    const SocketAddress made = SocketAddress::of(address, 8443);
    EXPECT_EQ(made.storage.ss_family, address.is_v4() ? AF_INET : AF_INET6) << text;
    EXPECT_EQ(made.address(), address) << text;
    EXPECT_EQ(made.port(), 8443) << text;
    EXPECT_EQ(made.text(), address.text_with_port(8443));
  }
}

TEST(SocketAddressTest, OfAnotherFamilyThereIsNoAddress) {
  sockaddr local{};
  local.sa_family = AF_UNIX;
  EXPECT_EQ(address_of(local), std::nullopt);
  EXPECT_EQ(SocketAddress::local(-1).text(), "[::]:0");
}

}  // namespace
}  // namespace iron::proxy
