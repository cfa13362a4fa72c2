#pragma once

#include <cctype>
#include <cstring>
#include <string>

namespace iron::proxy {

/// What the system says of `error`, as records have it: `connection refused`.
inline std::string errno_text(int error) {
  std::string text = std::strerror(error);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace iron::proxy
