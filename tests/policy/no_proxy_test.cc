#include "policy/match/no_proxy.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "policy/match/host.h"

namespace iron::policy {
namespace {

bool direct(const std::string& list, const std::string& target) {
  const auto authority = Authority::parse(target);
  EXPECT_TRUE(authority.has_value()) << target;
  return NoProxy(list).matches(authority->host, authority->literal, authority->port.value_or(443));
}

TEST(NoProxy, WhatIsDirect) {
  struct Case {
    const char* list;
    const char* target;
    bool direct;
  };
  constexpr Case cases[] = {
      {"", "a.test", false},
      {" , ,", "a.test", false},
      {"*", "a.test", true},
      {"b.test, *", "10.0.0.1", true},
      {"a.test", "a.test", true},
      {"a.test", "x.a.test", true},
      {"a.test", "xa.test", false},
      {"a.test", "a.test.x", false},
      {" A.Test. ", "a.TEST", true},
      {".a.test", "a.test", false},
      {".a.test", "x.y.a.test", true},
      {"*.a.test", "a.test", false},
      {"*.a.test", "x.a.test", true},
      {"*a.test", "xa.test", false},
      {"b.test,a.test", "a.test", true},
      {"a.test:443", "a.test", true},
      {"a.test:443", "a.test:80", false},
      {".a.test:80", "x.a.test:80", true},
      {"a.test:x", "a.test", false},
      {"a.test:", "a.test", false},
      {".", "a.test", false},
      {"10.1.2.3", "10.1.2.3", true},
      {"10.1.2.3", "x10.1.2.3", false},
      {"10.1.2.3:80", "10.1.2.3:80", true},
      {"10.1.2.3:80", "10.1.2.3", false},
      {"10.0.0.0/8", "10.9.9.9", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"10.0.0.0/8", "a.test", false},
      {"10.0.0.0/33", "10.0.0.0", false},
      {"10.0.0.0/", "10.0.0.0", false},
      {"2001:db8::/32", "[2001:db8::1]", true},
      {"2001:db8::1", "[2001:db8::1]", true},
      {"[2001:db8::1]:443", "[2001:db8::1]", true},
      {"[2001:db8::1]:443", "[2001:db8::1]:80", false},
      {"::ffff:10.1.2.3", "10.1.2.3", true},
      // A name that ends like an address is none.
      {"3", "10.1.2.3", false},
      {"", "localhost:80", true},
      {"", "a.localhost", false},
      {"", "127.9.9.9", true},
      {"", "[::1]", true},
      {"", "[::ffff:127.0.0.1]", true},
      {"", "169.254.169.254", false},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(direct(one.list, one.target), one.direct) << one.list << " for " << one.target;
  }
}

TEST(NoProxy, NothingConfiguredKeepsWhatIsLocal) {
  EXPECT_TRUE(NoProxy().matches("localhost", std::nullopt, 80));
  EXPECT_FALSE(NoProxy().matches("a.test", std::nullopt, 80));
}

}  // namespace
}  // namespace iron::policy
