#include "policy/json/line_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "policy/json/json_writer.h"

namespace iron::policy {
namespace {

TEST(LineWriter, AppendsToWhatIsThere) {
  std::string out = "before ";
  LineWriter line(out, 4);
  line.put("a");
  line.put('b');
  line.put("");
  line.put_with([](std::string& text) { text += "[inner]"; });
  line.put("after");
  line.finish();
  EXPECT_EQ(out, "before ab[inner]after");
}

TEST(LineWriter, GrowsPastWhatWasExpected) {
  for (const std::size_t expected : {0, 1, 100, 5000}) {
    std::string out, wanted;
    LineWriter line(out, expected);
    for (int i = 0; i < 3000; ++i) {
      line.put('x');
      line.put(std::string(static_cast<std::size_t>(i % 7), 'y'));
      wanted += 'x' + std::string(static_cast<std::size_t>(i % 7), 'y');
    }
    line.finish();
    EXPECT_EQ(out, wanted);
  }
}

TEST(LineWriter, FinishMayComeTwice) {
  std::string out;
  {
    LineWriter line(out, 100);
    line.put("x");
    line.finish();
    EXPECT_EQ(out, "x");
    line.put("y");
  }
  EXPECT_EQ(out, "xy");
}

TEST(LineWriter, TheStringMayMoveOnceFinished) {
  std::string out;
  {
    LineWriter line(out, 4000);
    line.put("a line that no small string holds inside");
    line.finish();
    out.shrink_to_fit();
    out += " grows";
    line.put(" and grows");
    line.finish();
    out.clear();
    out.shrink_to_fit();
    line.finish();
  }
  EXPECT_EQ(out, "");
}

TEST(LineWriter, WritesAsTheAppendersDo) {
  const std::string texts[] = {"",
                               "a",
                               "plain text of some length",
                               "seven77",
                               "eight888",
                               "quote\"",
                               "back\\slash in a longer text",
                               "line\nfeed",
                               "\x01",
                               "h\xc3\xa9",
                               "\xff broken",
                               "\xe2\x80\xa8"};
  const std::int64_t numbers[] = {0, 7, -1, std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max()};
  const std::int64_t times[] = {-5, 0, 999, 1'000, 1'500'000, 252'151'900, 1'010'000};
  std::string out, wanted;
  LineWriter line(out, 0);
  for (const std::string& text : texts) {
    line.put_json(text);
    append_json_string(wanted, text);
  }
  for (const std::int64_t number : numbers) {
    line.put_integer(number);
    append_json_integer(wanted, number);
  }
  for (const std::int64_t time : times) {
    line.put_milliseconds(time);
    append_json_milliseconds(wanted, time);
  }
  line.finish();
  EXPECT_EQ(out, wanted);
}

}  // namespace
}  // namespace iron::policy
