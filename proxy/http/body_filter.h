#pragma once

#include <string>
#include <string_view>

#include "policy/result.h"

namespace iron::proxy {

/// What a body goes through on its way. Errors say why it must not go on.
class BodyFilter {
 public:
  virtual ~BodyFilter() = default;

  /// What is in the body may still cut it: it should not begin yet.
  virtual bool may_cut() const = 0;
  /// Takes body bytes from the front of `data` and appends what may leave. True: all of them were
  /// taken.
  virtual Result<bool> body(std::string_view& data, std::string& out) = 0;
  virtual Result<void> end(std::string& out) = 0;
  /// `Name: value\r\n` lines.
  virtual Result<void> trailers(std::string_view lines, std::string& out) = 0;
};

}  // namespace iron::proxy
