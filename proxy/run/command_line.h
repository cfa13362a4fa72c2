#pragma once

#include <string>
#include <vector>

namespace iron::proxy {

/// What the first words of the command line ask for.
struct CommandLine {
  enum class Action {
    finish,       ///< print `stdout_text` and `stderr_text`, end with `exit_code`
    serve,        ///< proxy mode
    generate_ca,  ///< with `arguments`
  };
  Action action = Action::serve;
  std::string config;                  ///< `-config`; empty: no file
  std::string enrollment_token;        ///< `-enrollment-token`
  std::vector<std::string> arguments;  ///< words behind `generate-ca`
  std::string stdout_text, stderr_text;
  int exit_code = 0;
};

/// Reads `argv`, the program's name included; without side effects. See docs/configuration.md,
/// "Command line".
CommandLine parse_command_line(const std::vector<std::string>& argv);

/// `0.39.0+cpp.1.0.0`: the version this program stands in for, then its own.
std::string version_text();

}  // namespace iron::proxy
