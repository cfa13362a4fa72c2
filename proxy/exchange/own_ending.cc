#include "proxy/exchange/own_ending.h"

namespace iron::proxy {
namespace {

OwnAnswer text_of(int status, std::string_view reason, std::string text) {
  OwnAnswer answer;
  answer.form = OwnAnswer::Form::text;
  answer.status = status;
  answer.reason = reason;
  answer.text = std::move(text);
  return answer;
}

OwnEnding closing(int status, std::string_view status_and_reason, Action action) {
  OwnEnding ending;
  ending.answer.form = OwnAnswer::Form::closing;
  ending.answer.text = status_and_reason;
  ending.answer.status = ending.status = status;
  ending.action = action;
  return ending;
}

OwnEnding method_not_allowed(std::string_view rejected_by, std::string_view why) {
  OwnEnding ending;
  ending.answer = text_of(405, "Method Not Allowed", "method not allowed\n");
  ending.status = 405;
  ending.rejected_by = rejected_by;
  ending.denial_reason = std::string(rejected_by) + ": " + std::string(why);
  return ending;
}

void set_answer(OwnEnding& ending, const transforms::PolicyAnswer& answer) {
  ending.status = ending.answer.status = answer.status;
  ending.answer.form = OwnAnswer::Form::policy;
  ending.answer.content_type = answer.content_type;
  ending.answer.text = answer.body;
}

OwnEnding unanswered(OwnEnding::Answered how, Action action, int status) {
  OwnEnding ending;
  ending.answered = how;
  ending.action = action;
  ending.status = status;
  return ending;
}

}  // namespace

OwnEnding OwnEnding::of_head(HeadFault fault) {
  const HeadRefusal refusal = head_refusal(fault);
  OwnEnding ending;
  ending.answer.form = OwnAnswer::Form::head_fault;
  ending.answer.fault = fault;
  ending.answer.status = ending.status = refusal.status;
  ending.before_policy = true;
  ending.error = refusal.record_error;
  return ending;
}

OwnEnding OwnEnding::of_refusal(std::string_view error) {
  OwnEnding ending;
  ending.answer = text_of(400, "Bad Request", std::string(error) + "\n");
  ending.status = 400;
  ending.before_policy = true;
  ending.error = error;
  ending.denial_reason = "protocol: " + std::string(error);
  return ending;
}

OwnEnding OwnEnding::of_denial(std::string_view rejected_by,
                               const std::optional<transforms::PolicyAnswer>& answer) {
  OwnEnding ending;
  ending.rejected_by = rejected_by;
  if (answer) set_answer(ending, *answer);
  return ending;
}

OwnEnding OwnEnding::of_answer(const transforms::PolicyAnswer& answer) {
  OwnEnding ending;
  ending.action = Action::stub;
  set_answer(ending, answer);
  return ending;
}

OwnEnding OwnEnding::of_scrubbed_trace() {
  return method_not_allowed("scrub_responses", "TRACE would show the request");
}

OwnEnding OwnEnding::of_last_hop(std::string_view method) {
  if (method == "OPTIONS") {
    OwnEnding ending;
    ending.answer.form = OwnAnswer::Form::options;
    ending.answer.status = ending.status = 200;
    ending.action = Action::allow;
    return ending;
  }
  constexpr std::string_view kRefused = "method not allowed here";
  OwnEnding ending = method_not_allowed("protocol", kRefused);
  ending.error = kRefused;
  return ending;
}

OwnEnding OwnEnding::of_failure(const Error& error, bool cut) {
  OwnEnding ending;
  if (error.fault == Fault::client_gone || cut) {
    return unanswered(Answered::reset, Action::client_cancel, 200);
  }
  switch (error.fault) {
    case Fault::client_silent:
      ending = unanswered(Answered::no, Action::error, 400);
      break;
    case Fault::bad_request:
      ending = closing(400, "400 Bad Request", Action::reject);
      ending.rejected_by = "protocol";
      break;
    case Fault::body_too_large:
      ending = closing(413, "413 Request Entity Too Large", Action::error);
      ending.frees_body = true;
      break;
    case Fault::no_budget:
      ending = closing(503, "503 Service Unavailable", Action::error);
      ending.frees_body = true;
      break;
    case Fault::client_gone:
    case Fault::gone:
    case Fault::header_timeout:
    case Fault::other:
      ending.answer = text_of(502, "Bad Gateway", "bad gateway\n");
      ending.status = 502;
      ending.action = Action::error;
      // Only of the time limit is known that its text shows nothing of the upstream.
      ending.denial_reason =
          error.fault == Fault::header_timeout ? "upstream: " + error.text : "upstream: failed";
      break;
  }
  ending.error = error.text;
  return ending;
}

}  // namespace iron::proxy
