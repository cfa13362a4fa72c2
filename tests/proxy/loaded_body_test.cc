#include "proxy/exchange/loaded_body.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "tests/proxy/fake_answer.h"

namespace iron::proxy {
namespace {

using Step = BodySource::Step;

std::string read_all(LoadedBody& body, std::size_t at_a_time) {
  std::string all;
  std::string_view bytes;
  while (body.read(bytes) == Step::bytes) {
    EXPECT_FALSE(bytes.empty());
    const std::size_t taken = std::min(bytes.size(), at_a_time);
    all += bytes.substr(0, taken);
    body.consume(taken);
  }
  return all;
}

/// A client's body that was read whole.
struct Nothing {
  Nothing() : sink(trail), source(trail, sink) {
    source.here = {"$"};
    std::string_view bytes;
    EXPECT_EQ(source.read(bytes, BodySource::From::peer), Step::ended);
  }
  Trail trail;
  FakeSink sink;
  FakeSource source;
};

TEST(LoadedBody, LeavesWithItsValuesSwapped) {
  const Secret value = Secret::copy_of("THE-VALUE"), none = Secret::copy_of("");
  const Secret large = Secret::copy_of(std::string(40'000, 'V'));
  const std::string long_text(20'000, 'x');
  struct Case {
    const char* name;
    std::string text;
    std::vector<std::pair<std::size_t, std::size_t>> places;
    const Secret* value;
  };
  const Case cases[] = {
      {"empty", "", {}, &value},
      {"unchanged", "abc", {}, &value},
      {"unchanged and long", long_text, {}, &value},
      {"at the beginning", "tokabc", {{0, 3}}, &value},
      {"in the middle", "abtokc", {{2, 3}}, &value},
      {"at the end", "abctok", {{3, 3}}, &value},
      {"all of it", "tok", {{0, 3}}, &value},
      {"one behind the other", "toktok", {{0, 3}, {3, 3}}, &value},
      {"between long stretches", long_text + "tok" + long_text, {{20'000, 3}}, &value},
      {"empty at the end", "abctok", {{3, 3}}, &none},
      {"all of it empty", "tok", {{0, 3}}, &none},
      {"longer than what is composed at once", "atokb", {{1, 3}}, &large},
  };
  for (const Case& row : cases) {
    for (const std::size_t at_a_time : {1U, 7U, 1'000'000U}) {
      SCOPED_TRACE(testing::Message() << row.name << " by " << at_a_time);
      transforms::BodyView view;
      view.bytes = row.text;
      view.loaded = view.complete = true;
      std::string expected = row.text;
      for (auto place = row.places.rbegin(); place != row.places.rend(); ++place) {
        expected.replace(place->first, place->second, row.value->reveal());
      }
      for (const auto& [begin, length] : row.places) {
        view.parts.push_back({begin, length, row.value});
      }
      Nothing rest;
      SecretPages pages;
      LoadedBody body(view, rest.source, pages);
      EXPECT_FALSE(body.done());
      EXPECT_TRUE(body.buffered());
      EXPECT_EQ(read_all(body, at_a_time), expected);
      EXPECT_TRUE(body.done());
      EXPECT_FALSE(body.buffered());
      std::string_view bytes;
      EXPECT_EQ(body.read(bytes), Step::ended);
    }
  }
}

TEST(LoadedBody, APrefixLeavesAsItIsBeforeTheRest) {
  const Secret value = Secret::copy_of("THE-VALUE");
  transforms::BodyView view;
  view.bytes = "tok-and-";
  view.loaded = true;
  view.parts.push_back({0, 3, &value});  // nothing that is incomplete is rewritten
  Nothing rest;
  FakeSource source(rest.trail, rest.sink);
  source.coming = {"more", "-$"};
  SecretPages pages;
  LoadedBody body(view, source, pages);
  EXPECT_FALSE(body.done());
  EXPECT_EQ(read_all(body, 1'000'000), "tok-and-more-");
}

TEST(LoadedBody, WhatIsComposedIsWipedWhenItWasConsumedOrDropped) {
  const Secret value = Secret::copy_of("THE-VALUE");
  transforms::BodyView view;
  view.bytes = "tok";
  view.loaded = view.complete = true;
  view.parts.push_back({0, 3, &value});
  for (const bool dropped : {false, true}) {
    Nothing rest;
    SecretPages pages;
    std::string_view bytes;
    {
      LoadedBody body(view, rest.source, pages);
      ASSERT_EQ(body.read(bytes), Step::bytes);
      ASSERT_EQ(bytes, "THE-VALUE");
      if (!dropped) body.consume(bytes.size());
    }
    // The block is in the pages again, so its memory may be looked at.
    EXPECT_EQ(bytes, std::string(9, '\0'));
  }
}

}  // namespace
}  // namespace iron::proxy
