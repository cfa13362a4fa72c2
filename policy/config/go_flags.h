#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace iron::policy {

/// Command line flags with the syntax and the texts of Go's `flag` package, which scripts rely on:
/// one or two dashes, `-name value` or `-name=value`, the last value wins, parsing stops at the
/// first other word.
class GoFlags {
 public:
  /// `program` is what the usage text is headed with.
  explicit GoFlags(std::string program) : program_(std::move(program)) {}

  /// Adds a flag; `*value` holds the default and must outlive the parsing.
  void add(std::string name, std::string* value, std::string help);
  void add(std::string name, std::int64_t* value, std::string help);

  enum class Outcome {
    parsed,
    help,  ///< `-h` was asked for: exit code 0
    bad,   ///< exit code 2
  };
  /// Parses the words behind the program's name. Except for `parsed`, `message` is what belongs on
  /// stderr.
  Outcome parse(const std::vector<std::string>& words, std::string& message);

  /// `Usage of <program>:` and a paragraph per flag, by name.
  std::string usage() const;

 private:
  struct Flag {
    std::string name, help, default_text;
    std::string* text = nullptr;
    std::int64_t* number = nullptr;
  };
  Flag* find(std::string_view name);

  std::string program_;
  std::vector<Flag> flags_;  ///< sorted by name
};

}  // namespace iron::policy
