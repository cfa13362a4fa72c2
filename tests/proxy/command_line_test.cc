#include "proxy/run/command_line.h"

#include <gtest/gtest.h>

namespace iron::proxy {
namespace {

using Action = CommandLine::Action;

constexpr const char* kUsage =
    "Usage of iron-proxy:\n"
    "  -config string\n"
    "    \tpath to iron-proxy YAML config file\n"
    "  -enrollment-token string\n"
    "    \tenrollment token for control plane registration\n";

CommandLine parse(std::vector<std::string> words) {
  words.insert(words.begin(), "iron-proxy");
  return parse_command_line(words);
}

TEST(CommandLine, FindsTheConfigurationFile) {
  const struct {
    std::vector<std::string> words;
    const char* config;
  } cases[] = {
      {{}, ""},
      {{"-config", "x"}, "x"},
      {{"--config", "x"}, "x"},
      {{"-config=x"}, "x"},
      {{"--config=x"}, "x"},
      {{"-config=x=y"}, "x=y"},
      {{"-config="}, ""},
      {{"-config", "x", "-config", "y"}, "y"},
      {{"-config", "-bogus"}, "-bogus"},
      {{"-config", "f", "extra", "-bogus"}, "f"},
      {{"extra", "-config", "f"}, ""},
      {{"-", "-config", "f"}, ""},
      {{"--", "-config", "f"}, ""},
      {{"Version"}, ""},
  };
  for (const auto& row : cases) {
    const CommandLine line = parse(row.words);
    EXPECT_EQ(line.action, Action::serve);
    EXPECT_EQ(line.config, row.config);
  }
}

TEST(CommandLine, ReadsTheEnrollmentToken) {
  EXPECT_EQ(parse({"-enrollment-token=t"}).enrollment_token, "t");
}

TEST(CommandLine, RefusesUnknownAndBrokenFlags) {
  const struct {
    std::vector<std::string> words;
    const char* first_line;
  } cases[] = {
      {{"-bogus"}, "flag provided but not defined: -bogus\n"},
      {{"--bogus=1"}, "flag provided but not defined: -bogus\n"},
      {{"-version"}, "flag provided but not defined: -version\n"},
      {{"-config"}, "flag needs an argument: -config\n"},
      {{"-=x"}, "bad flag syntax: -=x\n"},
      {{"---"}, "bad flag syntax: ---\n"},
      {{"---config"}, "bad flag syntax: ---config\n"},
  };
  for (const auto& row : cases) {
    const CommandLine line = parse(row.words);
    EXPECT_EQ(line.action, Action::finish);
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_EQ(line.stdout_text, "");
    EXPECT_EQ(line.stderr_text, std::string(row.first_line) + kUsage);
  }
}

TEST(CommandLine, HelpGoesToStderr) {
  for (const char* word : {"-h", "-help", "--help"}) {
    const CommandLine line = parse({word});
    EXPECT_EQ(line.action, Action::finish);
    EXPECT_EQ(line.exit_code, 0);
    EXPECT_EQ(line.stdout_text, "");
    EXPECT_EQ(line.stderr_text, kUsage);
  }
}

TEST(CommandLine, PrintsTheVersion) {
  for (const char* word : {"version", "--version", "-v"}) {
    const CommandLine line = parse({word, "-bogus"});
    EXPECT_EQ(line.action, Action::finish);
    EXPECT_EQ(line.exit_code, 0);
    EXPECT_EQ(line.stdout_text, version_text() + "\n");
    EXPECT_EQ(line.stderr_text, "");
  }
  EXPECT_EQ(version_text().rfind("0.39.0+cpp.", 0), 0u);
}

TEST(CommandLine, HandsOverTheWordsOfGenerateCa) {
  const CommandLine line = parse({"generate-ca", "-outdir", "d"});
  EXPECT_EQ(line.action, Action::generate_ca);
  EXPECT_EQ(line.arguments, (std::vector<std::string>{"-outdir", "d"}));
}

TEST(CommandLine, RefusesWhatIsNotBuilt) {
  const CommandLine line = parse({"init"});
  EXPECT_EQ(line.action, Action::finish);
  EXPECT_EQ(line.exit_code, 1);
  EXPECT_EQ(line.stderr_text, "error: init is not supported by this build\n");
}

TEST(CommandLine, LivesWithoutAnyWord) { EXPECT_EQ(parse_command_line({}).action, Action::serve); }

}  // namespace
}  // namespace iron::proxy
