#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/transforms/built_source.h"
#include "tests/transforms/fake_outside.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Source, FaultsOfTheBlock) {
  struct Row {
    const char* yaml;
    const char* fault;
  };
  for (const Row& row : {
           Row{"{}", "source.type is required"},
           Row{"{type: zz}", R"(unsupported source type "zz")"},
           Row{"{type: file}", R"(file source requires "path" field)"},
           Row{"{type: file, path: ''}", R"(file source requires "path" field)"},
           Row{"{type: file, path: /k, ttl: zz}",
               R"(parsing ttl "zz": time: invalid duration "zz")"},
           Row{"{type: file, path: /k, ttl: '5'}",
               R"(parsing ttl "5": time: missing unit in duration "5")"},
           Row{"{type: file, path: /k, ttl: 1s, failure_ttl: 1x}",
               R"(parsing failure_ttl "1x": time: unknown unit "x" in duration "1x")"},
           Row{"{type: control_plane}", R"(control_plane source requires "value" field)"},
           Row{"{type: file, path: /k, ttl: -1ns, failure_ttl: 0s, json_key: k}", "none"},
           Row{"{type: control_plane, value: v, ttl: 5, failure_ttl: x}", "none"},
       }) {
    EXPECT_EQ(fault_of(row.yaml), row.fault) << row.yaml;
  }
  EXPECT_THAT(fault_of("{type: file, path: [a]}"),
              ::testing::StartsWith("parsing file source config: yaml: unmarshal errors:\n"
                                    "  line 1: cannot unmarshal !!seq into string"));
  EXPECT_THAT(fault_of("{type: file, path: /k, json_key: [a]}"),
              ::testing::StartsWith("parsing json_key: yaml: unmarshal errors:"));
}

TEST(Source, AValueIsKeptForItsTime) {
  BuiltSource built("{type: file, path: /k, ttl: 10s}");
  FakeOutside outside;
  outside.files["/k"] = "one";
  EXPECT_EQ(built.get(outside), "one");
  EXPECT_EQ(built.last.until_ns, outside.time_ns + 10 * kSecond);
  outside.files["/k"] = "two";
  outside.time_ns += 10 * kSecond - 1;
  EXPECT_EQ(built.get(outside), "one");
  outside.time_ns += 1;
  EXPECT_EQ(built.get(outside), "two");
  EXPECT_THAT(outside.notes, IsEmpty());
}

TEST(Source, TheSameValueIsTheSameObject) {
  BuiltSource built("{type: file, path: /k, ttl: -1ns}");
  FakeOutside outside;
  outside.files["/k"] = "one";
  built.get(outside);
  const SecretPtr first = built.last.value;
  EXPECT_EQ(built.last.until_ns, INT64_MIN);
  EXPECT_TRUE(built.source->fetched_for_each_use());
  built.get(outside);
  EXPECT_EQ(built.last.value, first);
  outside.files["/k"] = "two";
  built.get(outside);
  EXPECT_NE(built.last.value, first);
}

TEST(Source, AFirstFailureIsRepeatedFromMemory) {
  BuiltSource built("{type: file, path: /k, failure_ttl: 3s}");
  FakeOutside outside;
  const std::string missing = R"(!reading secret file "/k": open /k: no such file or directory)";
  EXPECT_EQ(built.get(outside), missing);
  outside.files["/k"] = "one";
  outside.time_ns += 3 * kSecond - 1;
  EXPECT_EQ(built.get(outside), missing);
  outside.time_ns += 1;
  EXPECT_EQ(built.get(outside), "one");
  EXPECT_EQ(built.last.until_ns, INT64_MAX);
  EXPECT_THAT(
      outside.notes,
      ElementsAre("WARN failed to fetch secret, caching error secret=/k error=reading secret "
                  "file \"/k\": open /k: no such file or directory retry_in=3000000000"));
}

TEST(Source, AFileThatIsGoneIsUsedForTwoSeconds) {
  for (const bool empties : {false, true}) {
    BuiltSource built("{type: file, path: /k, ttl: 1m}");
    FakeOutside outside;
    outside.files["/k"] = "one";
    EXPECT_EQ(built.get(outside), "one");
    outside.time_ns += 60 * kSecond;
    if (empties) {
      outside.files["/k"] = "";
    } else {
      outside.files.clear();
    }
    EXPECT_EQ(built.get(outside), "one");
    EXPECT_EQ(built.last.until_ns, outside.time_ns + 2 * kSecond);
    outside.time_ns += 2 * kSecond;
    EXPECT_EQ(built.get(outside).front(), '!');
    EXPECT_EQ(outside.notes.size(), 2U);
    // It is taken back for good: a value comes from the file alone.
    outside.files["/k"] = "two";
    outside.time_ns += 60 * kSecond;
    EXPECT_EQ(built.get(outside), "two");
  }
}

TEST(Source, WhatIsSeldomMeantIsToldOnce) {
  BuiltSource built("{type: file, path: /public, ttl: -1ns}");
  FakeOutside outside;
  outside.files["/public"] = "one\n";
  for (int i = 0; i < 2; ++i) EXPECT_EQ(built.get(outside), "one\n");
  EXPECT_THAT(outside.notes, ElementsAre("WARN secret file ends with a line break secret=/public",
                                         "WARN secret file is readable by others secret=/public"));
}

TEST(Source, OtherFaultsOfAFileAreWaitedOut) {
  BuiltSource built("{type: file, path: /k, ttl: 10s}");
  FakeOutside outside;
  outside.files["/k"] = "one";
  EXPECT_EQ(built.get(outside), "one");
  outside.files["/k"] = std::string(1048577, 'x');
  for (int i = 0; i < 5; ++i) {
    outside.time_ns += 100 * kSecond;
    EXPECT_EQ(built.get(outside), "one");
    EXPECT_EQ(built.last.until_ns, outside.time_ns + 5 * kSecond);
  }
  EXPECT_EQ(outside.notes.size(), 5U);
  EXPECT_EQ(
      outside.notes[0],
      "WARN failed to refresh secret, serving stale value secret=/k error=secret file \"/k\" is "
      "larger than 1048576 bytes");
}

TEST(Source, WrittenInTheConfiguration) {
  BuiltSource built("{type: control_plane, value: '{\"k\":\"inner\"}', json_key: k}");
  EXPECT_TRUE(built.source->immediate());
  EXPECT_EQ(built.source->name(), "control_plane");
  Exchange exchange;
  const Supplied* there = built.source->look(exchange);
  ASSERT_NE(there, nullptr);
  EXPECT_EQ(text_of(*there->value), "inner");
  ASSERT_EQ(built.warnings.size(), 1U);
  EXPECT_EQ(built.warnings[0].message, "secret value is written in the configuration");
  std::vector<const Secret*> keys;
  built.source->keys(keys);
  EXPECT_EQ(keys.size(), 1U);
  EXPECT_THAT(built.needs.supplies, IsEmpty());
}

}  // namespace
}  // namespace iron::transforms
