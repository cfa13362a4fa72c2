#pragma once

#include <string_view>

#include "policy/result.h"
#include "transforms/outside.h"

namespace iron::transforms {

/// A `credential_process`: words apart by blanks, with quotes and backslashes as POSIX has them
/// (Shell Command Language, section 2.2). Nothing is expanded; what only a shell could do is a
/// fault.
Result<ProgramRun> aws_command(std::string_view line);

}  // namespace iron::transforms
