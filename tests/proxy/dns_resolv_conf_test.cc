#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proxy/dns/resolv_conf.h"

namespace iron::proxy::dns {
namespace {

using policy::IpAddress;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(DomainName, WhatIsWorthAsking) {
  for (const char* name : {"a", "a.b", "a.b.", "_x._tcp.a", "a-b.c", "1.a", "0x7f.1", "xn--a"}) {
    EXPECT_TRUE(is_domain_name(name)) << name;
  }
  for (const std::string& name :
       {std::string(""), std::string("."), std::string("-.x"), std::string("a-.x"),
        std::string("a..b"), std::string("127.1"), std::string("2130706433"), std::string("a b"),
        std::string("a\nb"), std::string("ü"), std::string("a/b"), std::string(64, 'a')}) {
    EXPECT_FALSE(is_domain_name(name)) << name;
  }
}

TEST(ResolvConf, ReadsWhatLookupsNeed) {
  const ResolvConf conf = ResolvConf::parse(
      "# comment\n; another\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver ::1\n"
      "nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch one.test two.test. .\n"
      "options ndots:2 timeout:3 attempts:4 rotate\n",
      "host.ignored");
  EXPECT_THAT(conf.servers, ElementsAre(IpAddress::v4({10, 0, 0, 1}), *IpAddress::parse("::1"),
                                        IpAddress::v4({10, 0, 0, 2})));
  EXPECT_THAT(conf.search, ElementsAre("one.test.", "two.test."));
  EXPECT_EQ(conf.ndots, 2);
  EXPECT_EQ(conf.timeout, std::chrono::seconds(3));
  EXPECT_EQ(conf.attempts, 4);
}

TEST(ResolvConf, HasDefaults) {
  const ResolvConf conf = ResolvConf::parse("", "host.corp.test");
  EXPECT_THAT(conf.servers, ElementsAre(IpAddress::v4({127, 0, 0, 1}), *IpAddress::parse("::1")));
  EXPECT_THAT(conf.search, ElementsAre("corp.test."));
  EXPECT_EQ(conf.ndots, 1);
  EXPECT_THAT(ResolvConf::parse("domain a.test\n", "h").search, ElementsAre("a.test."));
}

TEST(ResolvConf, OrderOfNames) {
  const ResolvConf conf = ResolvConf::parse("search s.test\n", "");
  EXPECT_THAT(conf.names_for("host"), ElementsAre("host.s.test.", "host."));
  EXPECT_THAT(conf.names_for("host.x"), ElementsAre("host.x.", "host.x.s.test."));
  EXPECT_THAT(conf.names_for("host.x."), ElementsAre("host.x."));
  EXPECT_THAT(conf.names_for("hidden.onion"), IsEmpty());
  EXPECT_THAT(conf.names_for(std::string(300, 'a')), IsEmpty());
}

TEST(HostsFile, FindsNamesInEachCase) {
  const HostsFile hosts = HostsFile::parse(
      "127.0.0.1 localhost  # comment\n10.0.0.1\tDb.test db\n::1 localhost\nnonsense x\n#10.0.0.2 "
      "y\n");
  EXPECT_THAT(*hosts.find("LocalHost."),
              ElementsAre(IpAddress::v4({127, 0, 0, 1}), *IpAddress::parse("::1")));
  EXPECT_THAT(*hosts.find("db.TEST"), ElementsAre(IpAddress::v4({10, 0, 0, 1})));
  EXPECT_EQ(hosts.find("x"), nullptr);
  EXPECT_EQ(hosts.find("y"), nullptr);
}

TEST(Nsswitch, KnowsWhenTheLibraryIsNeeded) {
  EXPECT_FALSE(needs_system_lookup(""));
  EXPECT_FALSE(needs_system_lookup("passwd: files sss\nhosts: files dns # mdns\n"));
  EXPECT_FALSE(needs_system_lookup("hosts: files [NOTFOUND=return] dns"));
  EXPECT_TRUE(needs_system_lookup("hosts: files mdns4_minimal [NOTFOUND=return] dns"));
  EXPECT_TRUE(needs_system_lookup("hosts:\tresolve files"));
  EXPECT_THAT(lookup_modules("hosts: files mymachines [!UNAVAIL=return] resolve dns\nhosts: sss"),
              ElementsAre("mymachines", "resolve"));
}

}  // namespace
}  // namespace iron::proxy::dns
