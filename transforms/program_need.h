#pragma once

#include <string>
#include <vector>

namespace iron::transforms {

/// A program that is run while serving, with all that is fixed of it.
struct ProgramNeed {
  std::string program;  ///< a path, or a name that is looked for in PATH
  std::vector<std::string> arguments;
  std::string variable;  ///< name of the variable that a key is given in; empty: none
  bool operator==(const ProgramNeed&) const = default;
};

}  // namespace iron::transforms
