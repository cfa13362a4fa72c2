#pragma once

#include <string_view>

#include "transforms/annotations.h"
#include "transforms/pipeline.h"

namespace iron::transforms {

/// Refuses a request that `transform` cannot sign: `{"error":TRANSFORM,"reason":REASON}` is the
/// answer. `annotations` are those of the record besides `rejected`. Returns Verdict::reject.
Verdict refuse_signing(std::string_view transform,
                       Exchange& exchange,
                       Trace& trace,
                       int status,
                       std::string_view reason,
                       Annotations annotations = {});

/// Whether the body can be signed as it came: whole, and of declared length unless chunks are
/// allowed. If not, the request is refused (docs/transforms.md, "hmac_sign").
bool can_sign_body(std::string_view transform,
                   Exchange& exchange,
                   Trace& trace,
                   bool allow_chunked_body);

/// A WARN where the client declared no length of what is signed. `warn` may be empty.
void warn_of_undeclared_length(std::string_view transform,
                               const decltype(Services::warn)& warn,
                               const Exchange& exchange);

}  // namespace iron::transforms
