#include "proxy/dns/answer_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace iron::proxy::dns {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

const AnswerCache::Time kStart = AnswerCache::Time{} + 1h;

AnswerCache::Addresses addresses(const std::vector<std::string>& texts) {
  AnswerCache::Addresses result;
  for (const std::string& text : texts) result.push_back(*policy::IpAddress::parse(text));
  return result;
}

std::vector<std::string> texts(const std::optional<AnswerCache::Addresses>& found) {
  std::vector<std::string> result;
  if (!found) return {"nothing"};
  for (const policy::IpAddress& address : *found) result.push_back(address.text());
  return result;
}

TEST(AnswerCache, AddressesLastForTheirTimeToLiveWithinItsBounds) {
  const struct {
    std::chrono::seconds ttl;
    std::chrono::milliseconds last, over;
  } cases[] = {
      {0s, 999ms, 1000ms},    {1s, 999ms, 1000ms},
      {2s, 1999ms, 2000ms},   {30s, 29999ms, 30s},
      {31s, 29999ms, 30s},    {60s, 29999ms, 30s},
      {86400s, 29999ms, 30s}, {4294967295s, 29999ms, 30s},
      {-5s, 999ms, 1000ms},   {std::chrono::seconds::max(), 29999ms, 30s},
  };
  for (const auto& c : cases) {
    AnswerCache cache;
    cache.put("up.test", addresses({"10.0.0.1"}), c.ttl, kStart);
    EXPECT_THAT(texts(cache.get("up.test", kStart)), ElementsAre("10.0.0.1")) << c.ttl.count();
    EXPECT_THAT(texts(cache.get("up.test", kStart + c.last)), ElementsAre("10.0.0.1"));
    EXPECT_THAT(texts(cache.get("up.test", kStart + c.over)), ElementsAre("nothing"));
    EXPECT_EQ(cache.names(), 0u);
    EXPECT_EQ(cache.addresses(), 0u);
  }
}

TEST(AnswerCache, UseDoesNotMakeAnAnswerLastLonger) {
  AnswerCache cache;
  cache.put("up.test", addresses({"10.0.0.1"}), 3s, kStart);
  for (auto at = 0ms; at < 3s; at += 100ms) EXPECT_TRUE(cache.get("up.test", kStart + at));
  EXPECT_FALSE(cache.get("up.test", kStart + 3s));
}

TEST(AnswerCache, NamesAreToldApartWithoutRegardToCase) {
  const struct {
    const char *put, *get;
    bool same;
  } cases[] = {
      {"up.test", "up.test", true},
      {"Up.TEST", "up.test", true},
      {"up.test", "UP.tesT", true},
      {"up.test", "up.test.", false},  // with the final dot no search list counts
      {"up.test", "p.test", false},
      {"up.test", "up.tes", false},
      {"up.test", "other.test", false},
      {"up.test", "a.up.test", false},
  };
  for (const auto& c : cases) {
    AnswerCache cache;
    cache.put(c.put, addresses({"10.0.0.1"}), 30s, kStart);
    EXPECT_EQ(cache.get(c.get, kStart).has_value(), c.same) << c.put << " " << c.get;
  }
}

TEST(AnswerCache, EachUseBeginsWithAnotherAddressOfEachKind) {
  const struct {
    std::vector<std::string> put;
    std::vector<std::vector<std::string>> got;
  } cases[] = {
      {{"10.0.0.1"}, {{"10.0.0.1"}, {"10.0.0.1"}}},
      {{"10.0.0.1", "10.0.0.2", "10.0.0.3"},
       {{"10.0.0.2", "10.0.0.3", "10.0.0.1"},
        {"10.0.0.3", "10.0.0.1", "10.0.0.2"},
        {"10.0.0.1", "10.0.0.2", "10.0.0.3"},
        {"10.0.0.2", "10.0.0.3", "10.0.0.1"}}},
      {{"10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "fd00::3"},
       {{"10.0.0.2", "10.0.0.1", "fd00::2", "fd00::3", "fd00::1"},
        {"10.0.0.1", "10.0.0.2", "fd00::3", "fd00::1", "fd00::2"},
        {"10.0.0.2", "10.0.0.1", "fd00::1", "fd00::2", "fd00::3"}}},
      {{"10.0.0.1", "fd00::1"}, {{"10.0.0.1", "fd00::1"}, {"10.0.0.1", "fd00::1"}}},
      {{"fd00::1", "fd00::2"}, {{"fd00::2", "fd00::1"}, {"fd00::1", "fd00::2"}}},
  };
  for (const auto& c : cases) {
    AnswerCache cache;
    cache.put("up.test", addresses(c.put), 30s, kStart);
    for (const auto& wanted : c.got) EXPECT_EQ(texts(cache.get("up.test", kStart)), wanted);
  }
}

TEST(AnswerCache, ANewAnswerTakesThePlaceOfTheOldOne) {
  AnswerCache cache;
  cache.put("up.test", addresses({"10.0.0.1", "10.0.0.2"}), 30s, kStart);
  cache.put("UP.test", addresses({"10.0.0.3"}), 1s, kStart + 5s);
  EXPECT_EQ(cache.names(), 1u);
  EXPECT_EQ(cache.addresses(), 1u);
  EXPECT_THAT(texts(cache.get("up.test", kStart + 5s)), ElementsAre("10.0.0.3"));
  EXPECT_FALSE(cache.get("up.test", kStart + 6s));
}

TEST(AnswerCache, WithoutAddressesNothingIsKept) {
  AnswerCache cache;
  cache.put("up.test", {}, 30s, kStart);
  EXPECT_EQ(cache.names(), 0u);
}

TEST(AnswerCache, TheNameThatWasNotUsedForTheLongestTimeMakesWay) {
  AnswerCache cache;
  const auto name = [](std::size_t i) { return "n" + std::to_string(i) + ".test"; };
  for (std::size_t i = 0; i < AnswerCache::kMaxNames; ++i)
    cache.put(name(i), addresses({"10.0.0.1"}), 30s, kStart);
  EXPECT_TRUE(cache.get(name(0), kStart));
  EXPECT_EQ(cache.names(), AnswerCache::kMaxNames);
  for (const char* more : {"more.test", "another.test"}) {
    cache.put(more, addresses({"10.0.0.2"}), 30s, kStart);
    EXPECT_EQ(cache.names(), AnswerCache::kMaxNames);
  }
  EXPECT_TRUE(cache.get(name(0), kStart)) << "it was used";
  EXPECT_FALSE(cache.get(name(1), kStart));
  EXPECT_FALSE(cache.get(name(2), kStart));
  EXPECT_TRUE(cache.get(name(3), kStart));
  EXPECT_TRUE(cache.get("more.test", kStart));
}

TEST(AnswerCache, AddressesAreBoundedTogether) {
  AnswerCache cache;
  const AnswerCache::Addresses many(256, *policy::IpAddress::parse("10.0.0.1"));
  for (std::size_t i = 0; i < AnswerCache::kMaxNames; ++i) {
    cache.put("n" + std::to_string(i), many, 30s, kStart);
    ASSERT_LE(cache.addresses(), AnswerCache::kMaxAddresses);
  }
  EXPECT_EQ(cache.names(), AnswerCache::kMaxAddresses / many.size());
  EXPECT_TRUE(cache.get("n" + std::to_string(AnswerCache::kMaxNames - 1), kStart));
}

TEST(AnswerCache, ClearLeavesNothing) {
  AnswerCache cache;
  cache.put("a.test", addresses({"10.0.0.1"}), 30s, kStart);
  cache.put("b.test", addresses({"10.0.0.1"}), 30s, kStart);
  cache.clear();
  EXPECT_FALSE(cache.get("a.test", kStart));
  EXPECT_EQ(cache.names(), 0u);
  EXPECT_EQ(cache.addresses(), 0u);
  cache.put("a.test", addresses({"10.0.0.2"}), 30s, kStart);
  EXPECT_THAT(texts(cache.get("a.test", kStart)), ElementsAre("10.0.0.2"));
}

}  // namespace
}  // namespace iron::proxy::dns
