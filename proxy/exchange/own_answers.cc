#include "proxy/exchange/request_handler.h"
#include "proxy/exchange/site.h"

namespace iron::proxy {
namespace {

constexpr std::size_t kDrainBytes = 256 * 1024;
constexpr auto kDrainTime = std::chrono::seconds(5);

}  // namespace

AnswerContext RequestHandler::answer_context(bool close) const {
  AnswerContext context;
  context.minor_version = state_->exchange.request.minor_version;
  context.head_method = state_->exchange.request.method == "HEAD";
  context.close = close;
  context.keep_alive_10 = context.minor_version == 0 && !close;
  if (snapshot_->config.proxy.explain_denials)
    context.denial_reason = state_->exchange.denial_reason;
  return context;
}

bool RequestHandler::wants_close() const {
  return !hop_by_hop_.persistent(state_->exchange.request.minor_version) ||
         site_.loop().draining() || watch_.presence() != Presence::present;
}

/// An answer comes before the rest of the body: whether that rest is too much to read, or nobody
/// knows how much it is.
bool RequestHandler::body_will_be_dropped() const {
  if (body_.done()) return false;
  if (expects_continue_ && !continue_sent_) return true;
  if (framing_.kind == BodyFraming::Kind::chunked) {
    return body_.look_ahead() != BodySource::Ahead::complete;
  }
  return body_.remaining() > kDrainBytes;
}

Task<bool> RequestHandler::refuse_closing(HeadFault fault) {
  const HeadRefusal answer = head_refusal(fault);
  const std::string_view target = exchange().request.target;
  record_refusal(target.substr(0, target.find('?')), answer.record_error, answer.status);
  const bool sent = co_await client_.send(answer.answer);
  if (sent) client_.close_gently();
  co_return false;
}

Task<bool> RequestHandler::refuse(std::string_view error) {
  const bool close = wants_close() || body_will_be_dropped();
  std::string body(error);
  body.push_back('\n');
  exchange().denial_reason = "protocol: " + std::string(error);
  const std::string answer = text_answer(400, "Bad Request", body, answer_context(close));
  record_refusal(exchange().path, error, 400);
  const bool sent = co_await client_.send(answer);
  if (!sent) co_return false;
  const bool keep = co_await finish_request_body(close);
  co_return keep;
}

Task<bool> RequestHandler::deny(std::string_view rejected_by) {
  exchange().rejected_by = rejected_by;
  const bool close = wants_close() || body_will_be_dropped();
  const bool keep = co_await send_own_answer(forbidden_answer(answer_context(close)), 403,
                                             Action::reject, {}, close);
  co_return keep;
}

Task<bool> RequestHandler::answer_failure(Error error) {
  const bool cut = site_.loop().cut();
  if (error.fault == Fault::client_gone || cut) {
    write_record(Action::client_cancel, 200, {});
    client_.stream().reset_on_close();
    co_return false;
  }
  if (error.fault == Fault::client_silent) {
    write_record(Action::error, 400, error.text);
    co_return false;
  }
  if (error.fault == Fault::bad_request) {
    exchange().rejected_by = "protocol";
    const bool keep = co_await send_own_answer(closing_answer("400 Bad Request"), 400,
                                               Action::reject, error.text, true);
    co_return keep;
  }
  std::string reason;
  if (config().proxy.explain_denials) {
    reason = error.fault == Fault::header_timeout ? "upstream: " + error.text : "upstream: failed";
  }
  if (error.fault == Fault::body_too_large || error.fault == Fault::no_budget) {
    const bool budget = error.fault == Fault::no_budget;
    // What was held must not be kept from others while this client takes its answer.
    exchange().body = {};
    loaded_body_.release();
    body_share_.reset();
    const bool keep = co_await send_own_answer(
        closing_answer(budget ? "503 Service Unavailable" : "413 Request Entity Too Large"),
        budget ? 503 : 413, Action::error, error.text, true);
    co_return keep;
  }
  if (exchange().denial_reason.empty()) exchange().denial_reason = reason;
  const bool close = wants_close() || body_will_be_dropped();
  const bool keep = co_await send_own_answer(
      text_answer(502, "Bad Gateway", "bad gateway\n", answer_context(close)), 502, Action::error,
      error.text, close);
  co_return keep;
}

Task<bool> RequestHandler::send_own_answer(
    std::string answer, int status, Action action, std::string_view error, bool must_close) {
  // The record stands in the log before the client can act on the answer.
  write_record(action, status, error);
  const bool sent = co_await client_.send(answer);
  if (!sent) co_return false;
  const bool keep = co_await finish_request_body(must_close);
  co_return keep;
}

/// After an early answer: reads a bounded rest of the body so that the connection can go on, else
/// ends it properly.
Task<bool> RequestHandler::finish_request_body(bool must_close) {
  if (!must_close) {
    std::size_t dropped = 0;
    pause().set_timeout(kDrainTime);
    while (!body_.done() && dropped < kDrainBytes) {
      std::string_view bytes;
      const BodySource::Step read = body_.read(bytes);
      dropped += body_.take_arrived();
      if (read == BodySource::Step::bytes) {
        body_.drop();
      } else if (read == BodySource::Step::blocked && !pause().given_up()) {
        co_await pause();
      } else {
        break;
      }
    }
    pause().clear_deadline();
    if (body_.done()) co_return true;
  }
  client_.close_gently();
  co_return false;
}

std::uint64_t RequestHandler::record_id() {
  if (record_id_ == 0) record_id_ = site_.recorder().take_id();
  return record_id_;
}

void RequestHandler::write_record(Action action, int status, std::string_view error) {
  const Ending ending{action, status, error,
                      std::chrono::nanoseconds(site_.loop().now() - began_).count(), record_id()};
  const Transfer transfer{relayed_bytes_.value_or(body_.size() - left_out_), response_bytes_,
                          state_->upstream_address, upstream_ns_};
  site_.recorder().request(client_.arrival(), ending, transfer, host_text_, exchange());
}

void RequestHandler::record_refusal(std::string_view path, std::string_view error, int status) {
  client_.record_refusal({host_text_, exchange().request.method, path, error, status,
                          std::chrono::nanoseconds(site_.loop().now() - began_).count()});
}

}  // namespace iron::proxy
