#pragma once

#include <string>

namespace iron::policy {

/// What the system says of `error` of errno(3), as records, log lines and texts of a failed start
/// have it, in lower case: `connection refused`.
std::string errno_text(int error);

}  // namespace iron::policy
