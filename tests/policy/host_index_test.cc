#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "policy/match/rules.h"

namespace iron::policy {
namespace {

std::vector<std::uint32_t> find(const HostIndex& index, const std::string& host) {
  std::vector<std::uint32_t> ids;
  index.find(host, IpAddress::parse(host), ids);
  return ids;
}

HostIndex index_of(const std::vector<std::string>& patterns) {
  HostIndex index;
  std::uint32_t id = 0;
  for (const auto& pattern : patterns) {
    if (pattern.find('/') != std::string::npos) {
      index.add(parse_rule_cidr(pattern), id++);
    } else {
      index.add(HostPattern(pattern), id++);
    }
  }
  index.build();
  return index;
}

TEST(HostIndex, FindsAllInAscendingOrder) {
  const HostIndex index =
      index_of({"api.test", "*.test", "*", "127.0.0.0/8", "a*.test", "*.api.test", "api.test", "[a",
                "0.0.0.0/0", "::/0", "127.0.0.1"});
  using Ids = std::vector<std::uint32_t>;
  EXPECT_EQ(find(index, "api.test"), (Ids{0, 1, 2, 4, 5, 6}));
  EXPECT_EQ(find(index, "x.api.test"), (Ids{1, 2, 5}));
  EXPECT_EQ(find(index, "test"), (Ids{1, 2}));
  EXPECT_EQ(find(index, "latest"), (Ids{2}));
  EXPECT_EQ(find(index, ""), (Ids{2}));
  EXPECT_EQ(find(index, "127.0.0.1"), (Ids{2, 3, 8, 10}));
  EXPECT_EQ(find(index, "9.9.9.9"), (Ids{2, 8}));
  EXPECT_EQ(find(index, "::1"), (Ids{2, 9}));
  EXPECT_EQ(find(index, "::ffff:127.0.0.1"), (Ids{2, 3, 8}));
}

TEST(HostIndex, Empty) {
  HostIndex index;
  EXPECT_TRUE(find(index, "a").empty());
  index.build();
  EXPECT_TRUE(find(index, "a").empty());
  EXPECT_TRUE(find(index, "").empty());
}

TEST(HostIndex, SameIdTwiceIsReportedOnce) {
  HostIndex index;
  index.add(HostPattern("a.test"), 7);
  index.add(HostPattern("*.test"), 7);
  index.add(HostPattern("a*"), 7);
  index.build();
  EXPECT_EQ(find(index, "a.test"), std::vector<std::uint32_t>{7});
}

TEST(HostIndex, AppendsBehindWhatIsThere) {
  const HostIndex index = index_of({"a.test"});
  std::vector<std::uint32_t> ids = {9, 3};
  index.find("a.test", std::nullopt, ids);
  EXPECT_EQ(ids, (std::vector<std::uint32_t>{9, 3, 0}));
}

TEST(HostIndex, CanBeBuiltAgain) {
  HostIndex index = index_of({"a.test"});
  index.add(HostPattern("*.test"), 1);
  index.build();
  EXPECT_EQ(find(index, "a.test"), (std::vector<std::uint32_t>{0, 1}));
}

/// Few letters and labels, so that patterns and hosts often meet.
std::string random_host(std::mt19937& random) {
  std::string host;
  const auto labels = random() % 4;
  for (unsigned long i = 0; i <= labels; ++i) {
    if (i != 0) host += '.';
    const auto letters = random() % 3;
    for (unsigned long j = 0; j < letters; ++j) host += static_cast<char>('a' + random() % 2);
  }
  return host;
}

TEST(HostIndex, AgreesWithPatternByPattern) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> patterns;
    for (int i = 0; i < 30; ++i) {
      const std::string host = random_host(random);
      const unsigned kind = random() % 4;
      patterns.push_back(kind == 0 ? "*." + host : kind == 1 ? host + "?*" : host);
    }
    const HostIndex index = index_of(patterns);
    for (int i = 0; i < 100; ++i) {
      const std::string host = random_host(random);
      std::vector<std::uint32_t> want;
      for (std::uint32_t id = 0; id < patterns.size(); ++id) {
        if (HostPattern(patterns[id]).matches(host)) want.push_back(id);
      }
      EXPECT_EQ(find(index, host), want) << host;
    }
  }
}

TEST(HostIndex, TenThousandNamesAndALongHost) {
  HostIndex index;
  for (std::uint32_t i = 0; i < 10000; ++i) {
    const std::string name = "host" + std::to_string(i) + ".test";
    index.add(HostPattern(i % 2 == 0 ? name : "*." + name), i);
  }
  index.build();
  EXPECT_EQ(find(index, "host4242.test"), std::vector<std::uint32_t>{4242});
  EXPECT_EQ(find(index, "x.y.host4243.test"), std::vector<std::uint32_t>{4243});
  EXPECT_TRUE(find(index, "x.host4242.test").empty());
  std::string dots;
  for (int i = 0; i < 100000; ++i) dots += ".a";
  EXPECT_TRUE(find(index, dots).empty());
}

TEST(HostIndex, DoesNotGrowWhatIsLargeEnough) {
  const HostIndex index = index_of({"a.test", "*.test", "*", "a?test", "10.0.0.0/8"});
  std::vector<std::uint32_t> ids;
  ids.reserve(16);
  const auto* before = ids.data();
  index.find("a.test", std::nullopt, ids);
  EXPECT_EQ(ids.size(), 4U);
  EXPECT_EQ(ids.data(), before);
}

}  // namespace
}  // namespace iron::policy
