#include "proxy/exchange/decider.h"

#include <utility>

#include "policy/match/path.h"
#include "proxy/exchange/answer_scrub.h"
#include "proxy/exchange/request_target.h"
#include "proxy/http/header_rules.h"
#include "transforms/rewrite.h"

namespace iron::proxy {

Decider::Next Decider::end(OwnEnding ending) {
  ending_ = std::move(ending);
  return Next::answer;
}

Decider::Next Decider::fail(const Error& error) { return end(OwnEnding::of_failure(error, false)); }

policy::DotSegments Decider::dot_segments() const {
  return snapshot_.config.proxy.strict_paths ? policy::DotSegments::strict
                                             : policy::DotSegments::plain;
}

Decider::Next Decider::begin() {
  transforms::Exchange& ex = exchange();
  ex.client_tls = client_.over_tls;
  ex.mode = transforms::Mode::mitm;
  ex.remote_address = client_.remote_address;
  ex.body.present = framing_.kind != BodyFraming::Kind::none;
  if (framing_.kind == BodyFraming::Kind::length) ex.body.declared = framing_.length;
  const std::int64_t limit = snapshot_.config.proxy.max_request_body_bytes;
  ex.body.limit = limit > 0 ? static_cast<std::uint64_t>(limit) : UINT64_MAX;
  const HeadFault fault = read_target(ex, host_);
  if (fault != HeadFault::none) return end(OwnEnding::of_head(fault));
  ex.host = host_;
  if (!ex.decode_path()) return end(OwnEnding::of_head(HeadFault::malformed));
  const std::string_view refusal = refusal_before_policy();
  if (!refusal.empty()) return end(OwnEnding::of_refusal(refusal));
  ex.upgrade = is_websocket_upgrade(ex.request, framing_);
  strip_request(ex.request.headers, ex.upgrade);
  fill_target(state_.target, ex.authority, client_);
  if (snapshot_.config.proxy.pin_tunnel_target && client_.tunnel != nullptr) {
    const policy::Authority& pinned = *client_.tunnel;
    if (pinned.host != state_.target.host || pinned.port != state_.target.port) {
      OwnEnding denial = OwnEnding::of_denial("pin_tunnel_target");
      denial.denial_reason = "pin_tunnel_target: not the host and port of the tunnel";
      return end(std::move(denial));
    }
  }
  return judge();
}

/// Text of the record's `error` for what is refused before policy, empty if nothing is.
std::string_view Decider::refusal_before_policy() {
  transforms::Exchange& ex = exchange();
  if (ex.authority.host.empty()) return "missing Host header";
  if (ex.refuses_dot_segments(dot_segments())) return "path contains dot segments";
  if (client_.over_tls && ex.authority.host != client_.server_name) {
    server_name_differs_ = true;
    return "SNI and Host header mismatch";
  }
  return {};
}

Decider::Next Decider::judge() {
  using Progress = transforms::Pipeline::Progress;
  switch (snapshot_.pipeline->run_request(exchange(), need_)) {
    case Progress::need_body:
      return Next::load_body;
    case Progress::wait:
      return Next::await_supply;
    case Progress::answered:
      return end(OwnEnding::of_answer(*exchange().answer));
    case Progress::rejected:
      return end(OwnEnding::of_denial(exchange().rejected_by, exchange().answer));
    case Progress::failed:
      return fail(iron::fail(exchange().error));
    case Progress::done:
      break;
  }
  return passed();
}

Decider::Next Decider::body_loaded(const Result<void>& loaded) {
  if (loaded.has_value()) return judge();
  const Error& error = loaded.error();
  if (exchange().body.failed) {
    broken_off_ = error;
    return judge();
  }
  const bool too_large = error.fault == Fault::body_too_large;
  if (too_large && snapshot_.pipeline->judges_large_body(exchange())) {
    exchange().body.too_large = true;
    return judge();
  }
  if (too_large || error.fault == Fault::no_budget) {
    snapshot_.pipeline->fail_body(exchange(), error.text);
  }
  return fail(error);
}

/// What policy let through leaves, unless it cannot be written, or this was the last proxy that it
/// may pass.
Decider::Next Decider::passed() {
  transforms::Exchange& ex = exchange();
  if (ex.body.failed) return fail(broken_off_);
  if (ex.body.too_large) return fail(iron::fail("request body exceeds max_request_body_bytes"));
  Result<void> writable = transforms::check_fields(ex);
  if (writable.has_value()) writable = transforms::check_target(ex, dot_segments());
  if (writable.has_error()) return fail(writable.error());
  if (snapshot_.pipeline->scrubs()) filter_ = AnswerScrub::of(*snapshot_.pipeline, ex);
  if (filter_ != nullptr) {
    if (iequals(ex.request.method, "TRACE")) return end(OwnEnding::of_scrubbed_trace());
    AnswerScrub::prepare_request(ex.request.headers);
  }
  const std::optional<std::uint64_t> forwards = max_forwards(ex.request);
  if (forwards == 0) return end(OwnEnding::of_last_hop(ex.request.method));
  if (forwards) fewer_forwards_.apply(ex.request, *forwards);
  return Next::forward;
}

}  // namespace iron::proxy
