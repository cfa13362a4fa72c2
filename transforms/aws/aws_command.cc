#include "transforms/aws/aws_command.h"

#include <string>
#include <utility>
#include <vector>

namespace iron::transforms {
namespace {

constexpr std::string_view kOfShells = "|&;<>()$`*?[~#\n";

Error fault(std::string_view why) { return fail("credential_process: " + std::string(why)); }

}  // namespace

Result<ProgramRun> aws_command(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = '\0';
  for (std::size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (c == '\\' && quote != '\'') {
      if (++at == line.size()) return fault("it ends in a backslash");
      const bool kept =
          quote == '"' && line[at] != '"' && line[at] != '\\' && line[at] != '$' && line[at] != '`';
      if (kept) word += c;
      word += line[at];
      inside = true;
    } else if (quote != '\0') {
      if (quote == '"' && (c == '$' || c == '`')) return fault("it takes a shell");
      c == quote ? void(quote = '\0') : void(word += c);
    } else if (c == '"' || c == '\'') {
      quote = c;
      inside = true;
    } else if (c == ' ' || c == '\t') {
      if (std::exchange(inside, false)) words.push_back(std::exchange(word, {}));
    } else if (kOfShells.find(c) != kOfShells.npos) {
      return fault("it takes a shell");
    } else {
      word += c;
      inside = true;
    }
  }
  if (quote != '\0') return fault("a quote is not closed");
  if (inside) words.push_back(std::move(word));
  if (words.empty() || words.front().empty()) return fault("it names no program");
  ProgramRun run;
  run.program = std::move(words.front());
  words.erase(words.begin());
  run.arguments = std::move(words);
  return run;
}

}  // namespace iron::transforms
