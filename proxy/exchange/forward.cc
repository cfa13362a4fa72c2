#include <algorithm>
#include <array>

#include "proxy/exchange/answer_relay.h"
#include "proxy/exchange/delivery.h"
#include "proxy/exchange/request_handler.h"
#include "proxy/exchange/site.h"
#include "proxy/http/connection_login.h"
#include "proxy/http1/http1_answer.h"

namespace iron::proxy {
namespace {

constexpr policy::Duration kNoLimit = policy::Duration::max();

bool idempotent(std::string_view method) {
  static constexpr std::array<std::string_view, 6> kMethods = {"GET",   "HEAD",   "OPTIONS",
                                                               "TRACE", "DELETE", "PUT"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

}  // namespace

FaultText RequestHandler::fault_text() const {
  return snapshot_->swaps_secrets ? FaultText::fixed : FaultText::quoting;
}

/// May be sent twice when a pooled connection turns out dead (RFC 9112 section 9.3.1).
bool RequestHandler::repeatable() const {
  return framing_.kind == BodyFraming::Kind::none && idempotent(state_->exchange.request.method);
}

Task<Result<UpstreamPtr>> RequestHandler::acquire(Source source) {
  UpstreamPool::make_key(state_->target, state_->pool_key);
  if (!client_.own_upstreams().empty()) {
    UpstreamPtr own = client_.own_upstreams().take(state_->pool_key, snapshot_);
    if (own) {
      state_->upstream_address = own->address;
      co_return std::move(own);
    }
  }
  if (source == Source::pool_or_dial) {
    UpstreamPtr pooled = site_.pool().take(state_->pool_key, !repeatable());
    if (pooled) {
      state_->upstream_address = pooled->address;
      co_return std::move(pooled);
    }
  }
  const DialRequest request{snapshot_->deny_list, state_->target, state_->pool_key, watch_,
                            state_->upstream_address};
  auto dialled = co_await site_.dialer().dial(pause(), request);
  co_return std::move(dialled);
}

bool RequestHandler::compose(Upload& upload) {
  const transforms::Exchange& ex = exchange();
  const bool whole = ex.body.loaded && ex.body.complete;
  UpstreamFraming framing;
  if (whole) {
    framing.kind = UpstreamFraming::Kind::length;
    framing.length = transforms::body_size(ex.body);
  }
  char* const begin = upload.head_space(request_head_bound(ex, host_text_));
  const WrittenHead head = write_request_head(ex, host_text_, framing, begin);
  upload.head_written(head.end);
  if (whole) {
    upload.set_loaded_body(ex.body);
  } else if (framing_.kind != BodyFraming::Kind::none) {
    if (ex.body.loaded) upload.set_prefix(ex.body.bytes);
    upload.set_streaming(framing_.kind == BodyFraming::Kind::chunked);
  }
  return head.connection_login;
}

Task<Result<void>> RequestHandler::exchange_heads(UpstreamConnection& upstream,
                                                  Upload& upload,
                                                  Reply& reply) {
  upstream.connection.set_pause(&pause());
  upstream.set_user(client_.upstream_slot());
  if (!body_.done()) {
    const bool continued = co_await send_continue();
    if (!continued) co_return fail("client gone", Fault::client_gone);
  }
  const bool login = compose(upload);
  if (login || hop_by_hop_.connection_login) upstream.belong_to_client();
  RoundTrip::Rules rules;
  rules.header_timeout = config().proxy.upstream_response_header_timeout;
  rules.stall_timeout = config().proxy.limits.stall_timeout;
  rules.quiet_timeout =
      may_be_silent(exchange().request.headers) ? kNoLimit : config().proxy.limits.quiet_timeout;
  rules.relay_interim = exchange().request.minor_version == 1;
  rules.relay_continue = !continue_sent_;
  rules.sensitive = sensitive();
  rules.filter = filter_.get();
  RoundTrip trip(site_, watch_, upstream, upload, state_->response, reply, rules);
  Result<void> done = co_await trip.run();
  pause().clear_deadline();
  if (done.has_error()) upstream.connection.stream().reset_on_close();
  co_return std::move(done);
}

/// TRACE shows the request, key and all (RFC 9110 section 9.3.8).
Task<bool> RequestHandler::refuse_trace() {
  exchange().rejected_by = "scrub_responses";
  exchange().denial_reason = "scrub_responses: TRACE would show the request";
  const bool close = wants_close() || body_will_be_dropped();
  const bool keep = co_await send_own_answer(
      text_answer(405, "Method Not Allowed", "method not allowed\n", answer_context(close)), 405,
      Action::reject, {}, close);
  co_return keep;
}

/// To an OPTIONS we are a server without options; a TRACE would show what only we see.
Task<bool> RequestHandler::answer_last_hop() {
  const bool close = wants_close() || body_will_be_dropped();
  if (exchange().request.method == "OPTIONS") {
    const bool keep = co_await send_own_answer(options_answer(answer_context(close)), 200,
                                               Action::allow, {}, close);
    co_return keep;
  }
  constexpr std::string_view kRefused = "method not allowed here";
  exchange().rejected_by = "protocol";
  exchange().denial_reason = "protocol: " + std::string(kRefused);
  const bool keep = co_await send_own_answer(
      text_answer(405, "Method Not Allowed", "method not allowed\n", answer_context(close)), 405,
      Action::reject, kRefused, close);
  co_return keep;
}

/// What policy let through leaves, unless this was the last proxy that it may pass.
Task<bool> RequestHandler::send_on() {
  const std::optional<std::uint64_t> forwards = max_forwards(exchange().request);
  if (forwards == 0) {
    const bool keep = co_await answer_last_hop();
    co_return keep;
  }
  if (forwards) fewer_forwards_.apply(exchange().request, *forwards);
  fill_target();
  if (exchange().upgrade) {
    const bool keep = co_await upgrade();
    co_return keep;
  }
  const bool keep = co_await forward();
  co_return keep;
}

Task<bool> RequestHandler::forward() {
  // Nobody is dialled for what can be seen to be broken.
  if (body_.look_ahead() == BodySource::Ahead::broken) {
    const bool keep =
        co_await answer_failure(fail(std::string(kMalformedRequest), Fault::bad_request));
    co_return keep;
  }
  const auto began = site_.loop().now();
  for (const Source source : {Source::pool_or_dial, Source::dial}) {
    Result<UpstreamPtr> upstream = co_await acquire(source);
    if (upstream.has_error()) {
      const bool keep = co_await answer_failure(upstream.error());
      co_return keep;
    }
    Reply reply(fault_text());
    Upload upload(site_, body_);
    const Result<void> done = co_await exchange_heads(**upstream, upload, reply);
    if (done.has_value()) {
      upstream_ns_ = (site_.loop().now() - began).count();
      const bool keep = co_await deliver(std::move(*upstream), upload, reply);
      co_return keep;
    }
    upload.stop();
    const bool again = (*upstream)->reused && repeatable() && !reply.first_byte &&
                       !reply.timed_out && done.error().fault == Fault::other;
    if (again) continue;
    upstream->reset();
    const bool keep = co_await answer_failure(done.error());
    co_return keep;
  }
  co_return false;
}

/// Its next request may be anybody's, or only this client's; or nobody's, for a reload may have
/// forbidden its address meanwhile.
void RequestHandler::release(UpstreamPtr upstream) {
  if (upstream->belongs_to_client()) {
    client_.own_upstreams().keep(std::move(upstream), snapshot_);
  } else if (snapshot_ == site_.snapshot()) {
    site_.pool().put(std::move(upstream));
  }
}

/// Why the answer whose head came must not reach the client; empty: it may.
std::string RequestHandler::judge_answer(const ResponseChecks& checks) {
  Response& response = state_->response;
  if (!checks.error.empty()) return checks.error;
  if (response.status == 101) return "unexpected 101 Switching Protocols";
  if (filter_ != nullptr) {
    const Result<void> clean = filter_->begin(response, checks.framing);
    if (clean.has_error()) return clean.error().text;
  }
  exchange().response = &response;
  const auto progress = snapshot_->pipeline->run_response(exchange());
  exchange().response = nullptr;
  return progress == transforms::Pipeline::Progress::failed ? exchange().error : std::string();
}

/// Relays the answer whose head came, and brings both connections to their next state.
Task<bool> RequestHandler::deliver(UpstreamPtr upstream, Upload& upload, Reply& reply) {
  if (offers_connection_login(state_->response)) upstream->belong_to_client();
  const ResponseChecks checks =
      check_response(state_->response, exchange().request.method, fault_text());
  std::string refused = judge_answer(checks);
  if (!refused.empty()) {
    upload.stop();
    upstream.reset();
    const bool keep = co_await answer_failure(fail(std::move(refused)));
    co_return keep;
  }
  Http1Answer::Terms terms;
  terms.minor_version = exchange().request.minor_version;
  // Only an answer that is here in full is known to leave a part of the body unread.
  const auto answer_is_whole = [&] {
    return BodyReader(checks.framing, ChunkLines::of_origin)
        .completes_with(reply.input.view().substr(reply.head_size));
  };
  terms.keep_alive = !wants_close() && !(body_will_be_dropped() && answer_is_whole());
  terms.te_trailers = hop_by_hop_.te_trailers;
  terms.sensitive = sensitive();
  const bool upstream_persists =
      checks.framing.kind != BodyFraming::Kind::until_close &&
      read_connection(state_->response.headers).persistent(state_->response.minor_version);
  Http1Answer answer(client_.connection(), state_->answer_head, terms);
  answer.begin(state_->response, checks.framing, filter_ != nullptr && filter_->reframes());
  reply.input.consume(reply.head_size);
  Http1Body source({upstream->connection, reply.input, site_.buffers(), sensitive()},
                   checks.framing, ChunkLines::of_origin);
  const policy::Limits& limits = config().proxy.limits;
  const bool patient =
      may_be_silent(state_->response.headers) || may_be_silent(exchange().request.headers);
  AnswerRelay relay(source, answer, filter_.get(), site_.loop());
  Delivery delivery(site_, watch_, *upstream, upload, relay, reply,
                    Silence(limits.stall_timeout, patient ? kNoLimit : limits.quiet_timeout));
  Delivery::State state = co_await delivery.run();
  bool recorded = false;
  if (state == Delivery::State::last_bytes_ready) {
    response_bytes_ = relay.bytes();
    write_record(Action::allow, state_->response.status, {});
    recorded = true;
    co_await client_.recorded();
    state = co_await delivery.run();
  }
  pause().clear_deadline();
  upload.stop();
  source.end_bulk();
  if (state == Delivery::State::failed) {
    upstream.reset();
    reply.input.release();
    if (!relay.begun()) {
      const bool keep = co_await answer_failure(fail(relay.problem(), delivery.fault()));
      co_return keep;
    }
    record_cut(relay, delivery, recorded);
    co_return false;
  }
  const bool pooled = upstream_persists && reply.input.empty() && reply.upload_done;
  if (pooled) release(std::move(upstream));
  upstream.reset();
  reply.input.release();
  if (body_.done() && answer.reusable()) co_return true;
  const bool keep = co_await finish_request_body(!answer.reusable() || body_will_be_dropped());
  co_return keep;
}

/// The client has a part of an answer that does not go on.
void RequestHandler::record_cut(const AnswerRelay& relay, const Delivery& delivery, bool recorded) {
  const int status = state_->response.status;
  // The client of an event stream leaves when it has seen enough. One that only ended its side goes
  // on reading, and is not told of what cuts its stream.
  const bool by_client = delivery.fault() == Fault::client_gone || relay.client_lost();
  const bool at_rest =
      by_client && delivery.left_at_rest() && may_be_silent(state_->response.headers);
  if (!at_rest) {
    const std::string id = record_id_text(record_id());
    site_.log().write(Level::warn, "response body copy error",
                      {{"error", relay.problem()}, {"host", host_text_}, {"id", id}});
  }
  response_bytes_ = relay.bytes();
  const bool says_why = delivery.silent() || delivery.fault() == Fault::bad_request;
  if (relay.refused()) {
    write_record(Action::error, status, relay.problem());
  } else if (!recorded) {
    write_record(Action::allow, status, says_why ? std::string_view(relay.problem()) : "");
  }
}

}  // namespace iron::proxy
