#pragma once

#include <string>
#include <string_view>

#include "policy/result.h"

namespace iron::transforms {

struct Exchange;

/// What becomes of a request's body while it streams, where a transform changes it without seeing
/// it whole. What leaves has the length of what came.
class BodyChange {
 public:
  virtual ~BodyChange() = default;
  /// Appends what may leave.
  virtual Result<void> feed(std::string_view in, std::string& out) = 0;
  virtual Result<void> end(std::string& out) = 0;
  /// Behind a failure: puts the answer, and what the record says, into the exchange, whose origin
  /// has seen no whole request.
  virtual void refuse(Exchange& exchange) = 0;
};

}  // namespace iron::transforms
