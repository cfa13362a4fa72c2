#include "policy/config/go_flags.h"

#include <gtest/gtest.h>

#include <limits>

namespace iron::policy {
namespace {

using Outcome = GoFlags::Outcome;

struct Parsed {
  Outcome outcome;
  std::string config, other, first_line;
  std::int64_t hours;
};

Parsed parse(const std::vector<std::string>& words) {
  Parsed result{Outcome::parsed, "", "unset", "", 7};
  GoFlags flags("prog");
  flags.add("other", &result.other, "another one");
  flags.add("hours", &result.hours, "how long");
  flags.add("config", &result.config, "path");
  std::string message;
  result.outcome = flags.parse(words, message);
  result.first_line = message.substr(0, message.find('\n'));
  if (result.outcome == Outcome::bad) {
    EXPECT_EQ(message, result.first_line + "\n" + flags.usage());
  }
  return result;
}

TEST(GoFlagsTest, FormsOfAFlag) {
  using Words = std::vector<std::string>;
  for (const Words& words :
       {Words{"-config", "x"}, Words{"--config", "x"}, Words{"-config=x"}, Words{"--config=x"},
        Words{"-config", "y", "-config", "x"}, Words{"-config", "x", "word", "-bogus"},
        Words{"-config", "x", "--", "-bogus"}, Words{"-config", "x", "-", "-bogus"},
        Words{"-config", "x", ""}}) {
    const Parsed result = parse(words);
    EXPECT_EQ(result.outcome, Outcome::parsed);
    EXPECT_EQ(result.config, "x");
  }
  EXPECT_EQ(parse({"-other="}).other, "");
  EXPECT_EQ(parse({"-other=a=b"}).other, "a=b");
  EXPECT_EQ(parse({"-other", "-config"}).other, "-config");
  EXPECT_EQ(parse({}).other, "unset");
  EXPECT_EQ(parse({"--", "-config", "x"}).config, "");
}

TEST(GoFlagsTest, Faults) {
  struct Row {
    std::vector<std::string> words;
    std::string first_line;
  };
  for (const Row& row : std::vector<Row>{
           {{"-bogus"}, "flag provided but not defined: -bogus"},
           {{"--bogus=1"}, "flag provided but not defined: -bogus"},
           {{"-config"}, "flag needs an argument: -config"},
           {{"-=x"}, "bad flag syntax: -=x"},
           {{"---"}, "bad flag syntax: ---"},
           {{"---config"}, "bad flag syntax: ---config"},
           {{"-hours", "soon"}, "invalid value \"soon\" for flag -hours: parse error"},
           {{"-hours="}, "invalid value \"\" for flag -hours: parse error"},
           {{"-hours", "99999999999999999999"},
            "invalid value \"99999999999999999999\" for flag -hours: value out of range"}}) {
    const Parsed result = parse(row.words);
    EXPECT_EQ(result.outcome, Outcome::bad);
    EXPECT_EQ(result.first_line, row.first_line);
  }
}

TEST(GoFlagsTest, HelpUnlessDefined) {
  for (const char* word : {"-h", "--h", "-help", "--help", "-help=x"})
    EXPECT_EQ(parse({word}).outcome, Outcome::help);
  std::string value;
  GoFlags flags("prog");
  flags.add("h", &value, "host");
  std::string message;
  EXPECT_EQ(flags.parse({"-h", "x"}, message), Outcome::parsed);
  EXPECT_EQ(value, "x");
}

TEST(GoFlagsTest, Usage) {
  std::string text, none;
  std::int64_t number = 5, zero = 0;
  GoFlags flags("/bin/prog");
  flags.add("text", &(text = "a \"b\""), "some text");
  flags.add("none", &none, "no default");
  flags.add("number", &number, "a number");
  flags.add("zero", &zero, "nothing");
  EXPECT_EQ(flags.usage(),
            "Usage of /bin/prog:\n"
            "  -none string\n    \tno default\n"
            "  -number int\n    \ta number (default 5)\n"
            "  -text string\n    \tsome text (default \"a \\\"b\\\"\")\n"
            "  -zero int\n    \tnothing\n");
}

TEST(GoFlagsTest, Numbers) {
  struct Row {
    const char* text;
    std::int64_t value;
  };
  for (const Row& row :
       {Row{"0", 0}, Row{"-24", -24}, Row{"+5", 5}, Row{"0x10", 16}, Row{"0b11", 3},
        Row{"0o17", 15}, Row{"017", 15}, Row{"1_000", 1000}, Row{"0x_f", 15}, Row{"0_7", 7},
        Row{"-0x10", -16}, Row{"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
        Row{"-9223372036854775808", std::numeric_limits<std::int64_t>::min()}}) {
    const Parsed result = parse({"-hours", row.text});
    EXPECT_EQ(result.outcome, Outcome::parsed) << row.text;
    EXPECT_EQ(result.hours, row.value) << row.text;
  }
  for (const char* text : {"", "-", "+", "1.5", "1e3", " 1", "1 ", "0x", "0b2", "08", "1__0", "_1",
                           "1_", "--1", "0x0x1", "0x-1", "0b0b1", "f"}) {
    EXPECT_EQ(parse({"-hours", text}).outcome, Outcome::bad) << text;
  }
}

}  // namespace
}  // namespace iron::policy
