#pragma once

#include "policy/http_message.h"
#include "policy/result.h"
#include "proxy/http/body_filter.h"
#include "proxy/http/message_checks.h"

namespace iron::proxy {

/// What an answer goes through on its way to the client. Errors say why it must be cut; before any
/// of it was sent, it becomes a 502.
class AnswerFilter : public BodyFilter {
 public:
  /// Reason and fields of an interim, final or switching answer.
  virtual Result<void> head(Response& response) = 0;
  /// The final answer: its head, and how its body is to be read.
  virtual Result<void> begin(Response& response, const BodyFraming& framing) = 0;
  /// The body leaves with another length than it came with.
  virtual bool reframes() const = 0;
};

}  // namespace iron::proxy
