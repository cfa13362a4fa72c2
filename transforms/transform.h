#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"
#include "transforms/exchange.h"

namespace iron::transforms {

class ScrubForms;

/// How much of a request body a transform must see before it can run.
struct BodyNeed {
  bool whole = false;      ///< all of it, up to proxy.max_request_body_bytes (beyond: 413)
  std::size_t prefix = 0;  ///< the first bytes only; the rest is streamed
  bool any() const { return whole || prefix > 0; }
};

enum class Verdict {
  pass,
  reject,  ///< with exchange.answer where that is set, else the usual answer to a denied request
  answer,  ///< with exchange.answer; nothing goes upstream
  error,
  wait,  ///< for exchange.awaited; on_request() is asked again behind it
};

/// `scrub_responses`: what the answer filter does where an answer holds the real value.
enum class ScrubResponses { off, on, block };

/// A value that must not come back to the client. Lives as long as the exchange.
struct ScrubEntry {
  const Secret* value = nullptr;
  std::string_view token;   ///< what stands for it; empty where the proxy adds the value itself
  std::string_view secret;  ///< its name in records
  ScrubResponses mode = ScrubResponses::off;  ///< `on` or `block`
  const ScrubForms* forms = nullptr;          ///< how answers may show it
};

/// A step of the pipeline. Immutable after construction and shared by all workers; what belongs to
/// one request is in the Exchange. Synchronous: what takes calls is a Supply, and Verdict::wait
/// says that the request cannot go on before it has come.
class Transform {
 public:
  virtual ~Transform() = default;
  virtual std::string_view name() const = 0;
  /// Asked just before on_request of the same exchange; uses at most its scratch memory.
  virtual BodyNeed body_need(Exchange&) const { return {}; }
  /// Whether it has an answer of its own for a body that is too large: then on_request() runs all
  /// the same.
  virtual bool judges_large_bodies() const { return false; }
  /// Judges and rewrites. Fills `trace.annotations`; with Verdict::error also `trace.error`. With
  /// Verdict::wait nothing may have been changed.
  virtual Verdict on_request(Exchange& exchange, Trace& trace) const = 0;
  /// Runs after the upstream's answer head (and body, if needs_response_body()) arrived.
  virtual bool needs_response_body() const { return false; }
  /// Whether on_response does anything; the trace of one that does not has duration 0.
  virtual bool acts_on_response() const { return false; }
  virtual Verdict on_response(Exchange&, Trace&) const { return Verdict::pass; }
  /// Whether scrub_entries() may ever add anything.
  virtual bool scrubs() const { return false; }
  /// Appends what must be filtered out of answers of the request's host.
  virtual void scrub_entries(Exchange&, std::vector<ScrubEntry>&) const {}
  /// Whether it ever puts a real key, or what was made with one, into a request.
  virtual bool gives_keys() const { return false; }
  /// Appends the real values that it holds from the start on; they live as long as the transform.
  virtual void keys(std::vector<const Secret*>&) const {}
};

}  // namespace iron::transforms
