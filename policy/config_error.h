#pragma once

#include <exception>
#include <string>
#include <utility>

namespace iron::policy {

/// Thrown by loading and validation: `text()` is what follows `error: ` on stderr and what the
/// management API returns (docs/configuration.md, "Errors"). It quotes values, so it may hold a
/// NUL, where `what()` ends.
class ConfigError : public std::exception {
 public:
  explicit ConfigError(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace iron::policy
