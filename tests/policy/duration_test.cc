#include "policy/duration.h"

#include <gtest/gtest.h>

#include <limits>

#include "policy/config_error.h"

namespace iron::policy {
namespace {

TEST(Duration, ReadsTheWholeGrammar) {
  const struct {
    const char* text;
    std::int64_t nanoseconds;
  } cases[] = {
      {"0", 0},
      {"-0", 0},
      {"+0", 0},
      {"0s", 0},
      {"1ns", 1},
      {"1us", 1000},
      {"1\xC2\xB5s", 1000},
      {"1\xCE\xBCs", 1000},
      {"100ms", 100000000},
      {"120s", 120000000000},
      {"1m30s", 90000000000},
      {"1h0m0s", 3600000000000},
      {"1.s", 1000000000},
      {".5s", 500000000},
      {"1.5s", 1500000000},
      {"-5s", -5000000000},
      {"+5s", 5000000000},
      {"0.100000000000000000000h", 360000000000},
      {"0.9223372036854775807h", 3320413933267},
      {"9223372036854775807ns", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808ns", std::numeric_limits<std::int64_t>::min()},
  };
  for (const auto& row : cases)
    EXPECT_EQ(parse_duration(row.text).count(), row.nanoseconds) << row.text;
}

TEST(Duration, NamesTheFault) {
  const struct {
    const char* text;
    const char* fault;
  } cases[] = {
      {"", "time: invalid duration \"\""},
      {"30", "time: missing unit in duration \"30\""},
      {"1s30", "time: missing unit in duration \"1s30\""},
      {"1d", "time: unknown unit \"d\" in duration \"1d\""},
      {"1S", "time: unknown unit \"S\" in duration \"1S\""},
      {"1 s", "time: unknown unit \" s\" in duration \"1 s\""},
      {"1e3s", "time: unknown unit \"e\" in duration \"1e3s\""},
      {" 5s", "time: invalid duration \" 5s\""},
      {"true", "time: invalid duration \"true\""},
      {".", "time: invalid duration \".\""},
      {".s", "time: invalid duration \".s\""},
      {"-", "time: invalid duration \"-\""},
      {"--1s", "time: invalid duration \"--1s\""},
      {"9999999h", "time: invalid duration \"9999999h\""},
      {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
      {"9223372036854775807ns1ns", "time: invalid duration \"9223372036854775807ns1ns\""},
      {"99999999999999999999s", "time: invalid duration \"99999999999999999999s\""},
      {"1\xC3\xA9\"", "time: unknown unit \"\\xc3\\xa9\\\"\" in duration \"1\\xc3\\xa9\\\"\""},
  };
  for (const auto& row : cases) {
    try {
      parse_duration(row.text);
      ADD_FAILURE() << row.text << " was accepted";
    } catch (const ConfigError& error) {
      EXPECT_STREQ(error.what(), row.fault);
    }
  }
}

TEST(Duration, PrintsTheShortForm) {
  const struct {
    std::int64_t nanoseconds;
    const char* text;
  } cases[] = {
      {0, "0s"},
      {1, "1ns"},
      {999, "999ns"},
      {1500, "1.5\xC2\xB5s"},
      {100000000, "100ms"},
      {999999999, "999.999999ms"},
      {1500000000, "1.5s"},
      {90000000000, "1m30s"},
      {60000000000, "1m0s"},
      {3600000000000, "1h0m0s"},
      {3600000000001, "1h0m0.000000001s"},
      {-5000000000, "-5s"},
      {std::numeric_limits<std::int64_t>::max(), "2562047h47m16.854775807s"},
      {std::numeric_limits<std::int64_t>::min(), "-2562047h47m16.854775808s"},
  };
  for (const auto& row : cases)
    EXPECT_EQ(format_duration(Duration(row.nanoseconds)), row.text) << row.nanoseconds;
}

}  // namespace
}  // namespace iron::policy
