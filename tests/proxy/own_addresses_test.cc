#include "proxy/net/own_addresses.h"

#include <gtest/gtest.h>

namespace iron::proxy {
namespace {

using policy::IpAddress;

IpAddress address(const char* text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed) << text;
  return *parsed;
}

TEST(OwnAddresses, AreThoseOfTheListeners) {
  OwnAddresses own;
  own.add(address("10.1.2.3"), 8080);
  own.add(address("::1"), 8443);
  EXPECT_TRUE(own.contains(address("10.1.2.3"), 8080));
  EXPECT_FALSE(own.contains(address("10.1.2.3"), 8081));
  EXPECT_FALSE(own.contains(address("10.1.2.4"), 8080));
  EXPECT_TRUE(own.contains(address("::1"), 8443));
  EXPECT_FALSE(own.contains(address("::1"), 8080));
}

TEST(OwnAddresses, OfAWildcardListenerAreAllOfThisMachine) {
  OwnAddresses own;
  own.add_all_local(8080);
  for (const char* text : {"127.0.0.1", "127.9.9.9", "0.0.0.0", "::", "::1"}) {
    EXPECT_TRUE(own.contains(address(text), 8080)) << text;
    EXPECT_FALSE(own.contains(address(text), 8081)) << text;
  }
  EXPECT_FALSE(own.contains(address("192.0.2.1"), 8080));
}

TEST(OwnAddresses, OfALoopbackListenerIncludeTheUnspecifiedAddress) {
  OwnAddresses own;
  own.add(address("127.0.0.1"), 8080);
  EXPECT_TRUE(own.contains(address("0.0.0.0"), 8080)) << "the kernel takes it for loopback";
}

}  // namespace
}  // namespace iron::proxy
