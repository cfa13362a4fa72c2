#pragma once

#include <string>
#include <string_view>

#include "policy/http_message.h"
#include "policy/result.h"
#include "proxy/http/message_checks.h"

namespace iron::proxy {

/// What an answer goes through on its way to the client. Errors say why it must be cut; before any
/// of it was sent, it becomes a 502.
class AnswerFilter {
 public:
  virtual ~AnswerFilter() = default;

  /// Reason and fields of an interim, final or switching answer.
  virtual Result<void> head(Response& response) = 0;
  /// The final answer: its head, and how its body is to be read.
  virtual Result<void> begin(Response& response, const BodyFraming& framing) = 0;
  /// The body leaves with another length than it came with.
  virtual bool reframes() const = 0;
  /// What is in the answer may still cut it: it should not begin yet.
  virtual bool may_cut() const = 0;
  /// Takes body bytes from the front of `data` and appends what may leave. True: all of them were
  /// taken.
  virtual Result<bool> body(std::string_view& data, std::string& out) = 0;
  virtual Result<void> end(std::string& out) = 0;
  /// `Name: value\r\n` lines.
  virtual Result<void> trailers(std::string_view lines, std::string& out) = 0;
};

}  // namespace iron::proxy
