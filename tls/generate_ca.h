#pragma once

#include <string>
#include <vector>

namespace iron::tls {

/// `iron-proxy generate-ca`: parses `arguments` (those behind the word), writes ca.crt and ca.key,
/// prints as docs/tls.md says, and returns the exit code.
int generate_ca(const std::vector<std::string>& arguments);

}  // namespace iron::tls
