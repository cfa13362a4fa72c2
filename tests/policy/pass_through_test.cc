#include "policy/match/pass_through.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/policy/config_fixture.h"

namespace iron::policy {
namespace {

PassThroughEntry host(const std::string& pattern, std::vector<std::int64_t> ports = {443}) {
  PassThroughEntry entry;
  entry.host = pattern;
  entry.ports = std::move(ports);
  return entry;
}

PassThroughEntry cidr(const std::string& prefix) {
  PassThroughEntry entry;
  entry.cidr = prefix;
  return entry;
}

bool matches(const PassThroughList& list, const std::string& target) {
  const auto authority = Authority::parse(target);
  return authority && list.matches(*authority, authority->port.value_or(443));
}

TEST(PassThroughList, MatchesHostAndPort) {
  const PassThroughList list({host("Git.test", {22, 443}), host("*.db.test", {5432}),
                              cidr("10.1.0.0/16"), cidr("2001:db8::/32"), host("10.2.*", {25})});
  for (const char* target : {"git.test:22", "git.test", "GIT.TEST.:443", "db.test:5432",
                             "a.b.db.test:5432", "10.1.2.3", "[2001:db8::1]:443", "10.2.3.4:25"}) {
    EXPECT_TRUE(matches(list, target)) << target;
  }
  for (const char* target :
       {"git.test:80", "xgit.test", "a.git.test:22", "a.db.test", "xdb.test:5432", "10.1.2.3:22",
        "10.2.3.4", "[2001:db9::1]", "10.1.2.3.test"}) {
    EXPECT_FALSE(matches(list, target)) << target;
  }
}

TEST(PassThroughList, WhatIsNoHostMatchesNothing) {
  const PassThroughList every({host("*", {443})});
  EXPECT_TRUE(matches(every, "a.test"));
  EXPECT_TRUE(matches(every, "10.0.0.1"));
  EXPECT_FALSE(every.matches(Authority{}, 443));
  EXPECT_FALSE(PassThroughList().matches(*Authority::parse("a.test"), 443));
  EXPECT_TRUE(PassThroughList().empty());
}

TEST(PassThroughList, TellsWhichRulesItTouches) {
  const PassThroughList list(
      {host("git.test"), host("*.db.test"), host("a*.x.test"), cidr("10.1.0.0/16")});
  const auto touches = [&](const std::string& pattern) {
    Rule rule;
    rule.host.emplace(pattern);
    return list.touches(rule);
  };
  const auto touches_prefix = [&](const std::string& prefix) {
    Rule rule;
    rule.cidr = parse_rule_cidr(prefix);
    return list.touches(rule);
  };
  for (const char* pattern :
       {"*", "git.test", "*.git.test", "*.test", "a.db.test", "*.b.db.test", "db.test", "gi?.test",
        "ab.x.test", "ab*.x.test", "*x.test", "10.1.0.9"}) {
    EXPECT_TRUE(touches(pattern)) << pattern;
  }
  for (const char* pattern :
       {"api.test", "*.b.git.test", "xdb.test", "b*.x.test", "*.org", "10.2.0.9"}) {
    EXPECT_FALSE(touches(pattern)) << pattern;
  }
  EXPECT_TRUE(touches_prefix("10.0.0.0/8"));
  EXPECT_TRUE(touches_prefix("10.1.2.0/24"));
  EXPECT_FALSE(touches_prefix("10.2.0.0/16"));
  EXPECT_FALSE(PassThroughList().touches(Rule{HostPattern("*"), {}, {}, {}}));
}

using PassThroughConfig = ConfigTest;

constexpr const char* kValid = "dns: {proxy_ip: 127.0.0.1}\ntls: {ca_cert: a, ca_key: b}\n";

TEST_F(PassThroughConfig, IsRead) {
  const Config config =
      load(std::string(kValid) +
           "proxy:\n  passthrough:\n    - host: git.test\n      ports: [22, 443]\n"
           "    - cidr: 10.0.0.0/8\n    -\n    - {host: a.test, ports: null}\n");
  const auto& entries = config.proxy.passthrough;
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].host, "git.test");
  EXPECT_EQ(entries[0].ports, (std::vector<std::int64_t>{22, 443}));
  EXPECT_EQ(entries[1].cidr, "10.0.0.0/8");
  EXPECT_EQ(entries[1].ports, (std::vector<std::int64_t>{443}));
  EXPECT_EQ(entries[2].ports, (std::vector<std::int64_t>{443}));
  EXPECT_TRUE(load(kValid).proxy.passthrough.empty());
}

TEST_F(PassThroughConfig, FaultsNameKeyLineAndValue) {
  const struct {
    const char *entries, *fault;
  } cases[] = {
      {"[]", "accepted"},
      {"null", "accepted"},
      {"[{host: a.test}, {cidr: '::/0', ports: [1, 65535]}]", "accepted"},
      {"[{}]", "proxy.passthrough[0]: one of host or cidr is required; got neither (line 3)"},
      {"[{ports: [1]}]",
       "proxy.passthrough[0]: one of host or cidr is required; got neither (line 3)"},
      {"[{host: ''}]",
       "proxy.passthrough[0]: one of host or cidr is required; got neither (line 3)"},
      {"[{host: a},\n {host: b, cidr: 10.0.0.0/8}]",
       "proxy.passthrough[1]: host and cidr are mutually exclusive; got \"b\" and \"10.0.0.0/8\" "
       "(line 4)"},
      {"[{cidr: 10.0.0.1}]",
       "proxy.passthrough[0].cidr: parsing CIDR \"10.0.0.1\": invalid CIDR address: 10.0.0.1 (line "
       "3)"},
      {"[{host: a, ports: []}]", "proxy.passthrough[0].ports must not be empty; got [] (line 3)"},
      {"[{host: a, ports: [null]}]",
       "proxy.passthrough[0].ports must not be empty; got [] (line 3)"},
      {"[{host: a, ports: [22,\n 0]}]",
       "proxy.passthrough[0].ports[1] must be 1 to 65535; got 0 (line 4)"},
      {"[{host: a, ports: [65536]}]",
       "proxy.passthrough[0].ports[0] must be 1 to 65535; got 65536 (line 3)"},
      {"[{host: a, ports: [-1]}]",
       "proxy.passthrough[0].ports[0] must be 1 to 65535; got -1 (line 3)"},
  };
  for (const auto& row : cases) {
    const std::string text = std::string(kValid) + "proxy: {passthrough: " + row.entries + "}\n";
    EXPECT_EQ(check_fault(text), row.fault) << row.entries;
    EXPECT_EQ(check_fault(text, ValidateFor::reload), row.fault) << row.entries;
  }
}

TEST_F(PassThroughConfig, TypesAreStrict) {
  const struct {
    const char *entries, *fault;
  } cases[] = {
      {"[{host: a, zzz: 1}]", "line 3: field zzz not found in type config.Passthrough"},
      {"x", "line 3: cannot unmarshal !!str `x` into []config.Passthrough"},
      {"[x]", "line 3: cannot unmarshal !!str `x` into config.Passthrough"},
      {"[{host: a, ports: 443}]", "line 3: cannot unmarshal !!int `443` into []int"},
      {"[{host: a, ports: [x]}]", "line 3: cannot unmarshal !!str `x` into int"},
      {"[{host: a, ports: [[1]]}]", "line 3: cannot unmarshal !!seq into int"},
      {"[{host: [a]}]", "line 3: cannot unmarshal !!seq into string"},
      {"{host: a}", "line 3: cannot unmarshal !!map into []config.Passthrough"},
  };
  for (const auto& row : cases) {
    EXPECT_EQ(load_fault(std::string(kValid) + "proxy: {passthrough: " + row.entries + "}\n"),
              std::string("parsing config: yaml: unmarshal errors:\n  ") + row.fault)
        << row.entries;
  }
}

TEST_F(PassThroughConfig, AReloadAppliesIt) {
  const Config with = load(std::string(kValid) + "proxy: {passthrough: [{host: a}]}\n");
  EXPECT_TRUE(keys_needing_restart(load(kValid), with).empty());
}

}  // namespace
}  // namespace iron::policy
