#include "transforms/auth/signing.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace iron::transforms {

Verdict refuse_signing(std::string_view transform,
                       Exchange& exchange,
                       Trace& trace,
                       int status,
                       std::string_view reason,
                       Annotations annotations) {
  const std::string name(transform), why(reason);
  annotations.text("rejected", reason).write(trace.annotations);
  exchange.answer = PolicyAnswer{status, "application/json",
                                 R"({"error":")" + name + R"(","reason":")" + why + R"("})"};
  exchange.denial_reason = name + ": " + why;
  return Verdict::reject;
}

bool can_sign_body(std::string_view transform,
                   Exchange& exchange,
                   Trace& trace,
                   bool allow_chunked_body) {
  const BodyView& body = exchange.body;
  if (!body.present) return true;
  Annotations annotations;
  if (body.failed) {
    annotations.text("error", "unexpected EOF");
    refuse_signing(transform, exchange, trace, 400, "body_read_failed", std::move(annotations));
  } else if (!body.declared && !allow_chunked_body) {
    refuse_signing(transform, exchange, trace, 400, "chunked_body_not_allowed");
  } else if (body.too_large) {
    annotations.integer("content_length",
                        body.declared ? static_cast<std::int64_t>(*body.declared) : -1);
    annotations.integer("buffered_length", static_cast<std::int64_t>(body.limit));
    refuse_signing(transform, exchange, trace, 413, "body_truncated", std::move(annotations));
  } else {
    return true;
  }
  return false;
}

void warn_of_undeclared_length(std::string_view transform,
                               const decltype(Services::warn)& warn,
                               const Exchange& exchange) {
  const BodyView& body = exchange.body;
  if (!warn || !body.present || body.declared) return;
  warn(std::string(transform) + " signing chunked request body without length verification",
       std::array<Note, 3>{Note{"host", exchange.authority.host},
                           {"path", exchange.path},
                           {"buffered_length", static_cast<std::int64_t>(body.bytes.size())}});
}

}  // namespace iron::transforms
