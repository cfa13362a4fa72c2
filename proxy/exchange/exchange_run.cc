#include "proxy/exchange/exchange_run.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "proxy/exchange/changed_body.h"
#include "proxy/exchange/loaded_body.h"
#include "proxy/exchange/site.h"
#include "proxy/exchange/supply_desk.h"
#include "proxy/exchange/websocket.h"
#include "proxy/http/connection_login.h"
#include "proxy/http/header_rules.h"
#include "proxy/net/parent_handshake.h"

namespace iron::proxy {
namespace {

constexpr policy::Duration kNoLimit = policy::Duration::max();
constexpr std::string_view kWrongAccept = "upstream answered 101 with a wrong Sec-WebSocket-Accept";

bool idempotent(std::string_view method) {
  static constexpr std::array<std::string_view, 6> kMethods = {"GET",   "HEAD",   "OPTIONS",
                                                               "TRACE", "DELETE", "PUT"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

}  // namespace

ExchangeRun::ExchangeRun(Site& site,
                         ClientStream& client,
                         RequestState& state,
                         std::string_view host)
    : site_(site),
      client_(client),
      state_(state),
      snapshot_(site.snapshot()),
      began_(site.loop().now()),
      body_(site.services().body_budget, site.buffers()),
      decider_(*snapshot_, state, client.client().facts(), client.framing(), host),
      upstreams_(site, client, state, snapshot_),
      host_(host) {}

Task<void> ExchangeRun::run() {
  using Next = Decider::Next;
  begin_supplies(site_, *snapshot_, exchange());
  Next next = decider_.begin();
  host_ = decider_.host();
  if (decider_.server_name_differs()) {
    site_.log().write(Level::warn, "SNI/Host mismatch",
                      {{"sni", client_.client().facts().sni}, {"host", host_}});
  }
  while (next == Next::load_body || next == Next::await_supply) {
    if (next == Next::load_body) {
      const Result<void> loaded =
          co_await body_.load(client_, config().proxy, decider_.body_need(), exchange().body);
      next = decider_.body_loaded(loaded);
      continue;
    }
    const bool came =
        co_await await_supply(site_, *snapshot_, exchange(), client_.pause(), &client_);
    if (!came) {
      co_await fail(iron::fail("client gone", Fault::client_gone));
      co_return;
    }
    next = decider_.supply_came();
  }
  if (next == Next::answer) {
    co_await end(std::move(decider_.ending()));
    co_return;
  }
  filter_ = decider_.take_filter();
  sensitive_ = exchange().holds_secret() || filter_ != nullptr;
  co_await forward();
}

/// May be sent twice when a pooled connection turns out dead (RFC 9112 section 9.3.1).
bool ExchangeRun::repeatable() {
  return client_.framing().kind == BodyFraming::Kind::none && idempotent(exchange().request.method);
}

/// A WebSocket gets a connection of its own.
Task<void> ExchangeRun::forward() {
  // Nobody is dialled for what can be seen to be broken.
  if (client_.body().look_ahead() == BodySource::Ahead::broken) {
    co_await fail(iron::fail(std::string(kMalformedRequest), Fault::bad_request));
    co_return;
  }
  asked_ = site_.loop().now();
  upstreams_.choose();
  if (upstreams_.forwards()) {
    const Result<void> admitted = co_await upstreams_.admit();
    if (admitted.has_error()) {
      co_await fail(admitted.error());
      co_return;
    }
    if (state_.parent->login() != nullptr) sensitive_ = true;
  }
  Upstreams::Idle which = exchange().upgrade ? Upstreams::Idle::own : Upstreams::Idle::any;
  while (true) {
    UpstreamStream* upstream = upstreams_.take_idle(which, repeatable());
    if (upstream == nullptr) {
      const Result<UpstreamStream*> dialled = co_await upstreams_.dial();
      if (dialled.has_error()) {
        if (exchange().upgrade && dialled.error().fault != Fault::client_gone) {
          site_.log().write(Level::error, "websocket upstream dial failed",
                            {{"host", host_}, {"error", dialled.error().text}});
        }
        co_await fail(dialled.error());
        co_return;
      }
      upstream = *dialled;
    }
    const bool died_idling = co_await carry(*upstream);
    if (!died_idling) co_return;
    which = Upstreams::Idle::own;
  }
}

/// One request and its answer. True: the connection had died while it idled, and the request may go
/// by another.
Task<bool> ExchangeRun::carry(UpstreamStream& upstream) {
  BodySource& body = client_.body();
  if (!body.done()) {
    const bool told = co_await client_.go_on();
    if (!told) {
      co_await fail(iron::fail("client gone", Fault::client_gone));
      co_return false;
    }
  }
  OutgoingHead head{exchange(), host_, client_.framing().kind, std::nullopt, sensitive_};
  const transforms::BodyView& view = exchange().body;
  head.parent = upstreams_.parent_form();
  if (view.loaded && view.complete) head.length = transforms::body_size(view);
  BodySink& sink = upstream.begin(head, client_.pause());
  LoadedBody loaded(view, body, site_.secret_pages());
  std::optional<ChangedBody> changed;
  if (exchange().body_change != nullptr) changed.emplace(*exchange().body_change);
  BodyMover up(view.loaded ? loaded : body, sink, changed ? &*changed : nullptr, site_.loop());
  const policy::Config::Proxy& proxy = config().proxy;
  Transfer::Limits limits{proxy.upstream_response_header_timeout, proxy.limits.stall_timeout,
                          proxy.limits.quiet_timeout};
  if (may_be_silent(exchange().request.headers)) limits.quiet_timeout = kNoLimit;
  Transfer transfer(client_, upstream, up, limits);
  const Result<void> done = co_await transfer.head(state_.response, filter_.get(), sensitive_);
  if (done.has_error()) {
    up.stop();
    const bool again = upstream.reused() && repeatable() && !upstream.answered() &&
                       !transfer.timed_out() && done.error().fault == Fault::other;
    if (again) co_return true;
    upstreams_.drop();
    co_await fail_request(up, done.error());
    co_return false;
  }
  upstream_ns_ = (site_.loop().now() - asked_).count();
  if (exchange().upgrade && state_.response.status == 101) {
    co_await switch_protocols(upstream);
  } else {
    co_await deliver(upstream, transfer, up);
  }
  co_return false;
}

/// Why the answer whose head came must not reach the client; empty: it may.
std::string ExchangeRun::judge_answer(const ResponseChecks& checks) {
  Response& response = state_.response;
  if (!checks.error.empty()) return checks.error;
  // The login is between this program and its parent: the client must not be asked for it.
  if (response.status == 407 && upstreams_.parent_form() != nullptr) {
    return parent_status_text("Proxy Authentication Required", response.status);
  }
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

/// Relays the answer whose head came, and brings both streams to their end.
Task<void> ExchangeRun::deliver(UpstreamStream& upstream, Transfer& transfer, BodyMover& up) {
  Response& response = state_.response;
  if (offers_connection_login(response)) upstream.belong_to_client();
  const ResponseChecks checks = upstream.check(response, exchange().request.method);
  std::string refused = judge_answer(checks);
  if (!refused.empty()) {
    up.stop();
    upstreams_.drop();
    co_await fail(iron::fail(std::move(refused)));
    co_return;
  }
  const bool may_rest = may_be_silent(response.headers);
  const bool patient = may_rest || may_be_silent(exchange().request.headers);
  BodySource& source = upstream.answer(response, checks.framing);
  const ClientStream::Terms terms{filter_ != nullptr && filter_->reframes(), sensitive_};
  BodySink& sink = client_.begin(response, checks.framing, source, terms);
  BodyMover down(source, sink, filter_.get(), site_.loop());
  const policy::Duration quiet = patient ? kNoLimit : config().proxy.limits.quiet_timeout;
  Transfer::State state = co_await transfer.body(down, quiet);
  if (state == Transfer::State::last_bytes_ready) {
    response_bytes_ = down.bytes();
    record(Action::allow, response.status, {});
    co_await client_.client().recorded();
    state = co_await transfer.body(down, quiet);
  }
  client_.pause().clear_deadline();
  up.stop();
  source.end_bulk();
  if (state != Transfer::State::failed) {
    upstreams_.keep();
    if (!client_.ended()) co_await client_.end();
    co_return;
  }
  upstreams_.drop();
  if (down.begun()) {
    record_cut(transfer, down, may_rest);
  } else {
    co_await fail_request(up, iron::fail(down.problem(), transfer.fault()));
  }
}

/// The client has nothing of an answer yet. Where policy stopped the body, policy answers.
Task<void> ExchangeRun::fail_request(const BodyMover& up, const Error& error) {
  if (up.failure() != BodyMover::Failure::refused) {
    co_await fail(error);
    co_return;
  }
  exchange().body_change->refuse(exchange());
  co_await end(OwnEnding::of_denial(exchange().rejected_by, exchange().answer));
}

/// The client has a part of an answer that does not go on. `may_rest`: it is one of those whose
/// clients leave when they have seen enough.
void ExchangeRun::record_cut(const Transfer& transfer, const BodyMover& down, bool may_rest) {
  // One that only ended its side goes on reading, and is not told of what cuts its stream.
  const bool by_client =
      transfer.fault() == Fault::client_gone || down.failure() == BodyMover::Failure::sink_lost;
  if (!(may_rest && by_client && transfer.left_at_rest())) {
    const std::string id = record_id_text(record_id());
    site_.log().write(Level::warn, "response body copy error",
                      {{"error", down.problem()}, {"host", host_}, {"id", id}});
  }
  response_bytes_ = down.bytes();
  const int status = state_.response.status;
  if (down.failure() == BodyMover::Failure::refused) {
    record(Action::error, status, down.problem());
  } else if (!recorded_) {
    const bool says_why = transfer.silent() || transfer.fault() == Fault::bad_request;
    record(Action::allow, status, says_why ? std::string_view(down.problem()) : "");
  }
}

/// The pipe opens only after a proper 101.
Task<void> ExchangeRun::switch_protocols(UpstreamStream& upstream) {
  Response& response = state_.response;
  Result<void> good;
  if (!accepts_websocket(response, exchange().request)) {
    good = iron::fail(std::string(kWrongAccept));
  } else if (filter_ != nullptr) {
    good = filter_->head(response);
  }
  if (good.has_error()) {
    upstreams_.drop();
    co_await fail(good.error());
    co_return;
  }
  // A session may last for days: what the record needs of the head is copied, its block goes back.
  const std::string host(host_);
  host_ = host;
  const bool sent = co_await client_.switch_protocols(response, sensitive_);
  exchange().request.method = "GET";
  exchange().request.headers.clear();
  const auto record_end = [this](const WebSocketEnd& end) {
    relayed_bytes_ = end.up;
    response_bytes_ = end.down;
    if (site_.log().enabled(Level::debug)) {
      site_.log().write(Level::debug, "websocket connection closed", {{"host", host_}});
    }
    record(Action::allow, 101, end.silence);
  };
  if (!sent) {
    record_end({});
    co_return;
  }
  co_await relay_websocket(client_, upstream, site_.buffers(), config().proxy.limits.stall_timeout,
                           sensitive_, record_end);
}

Task<void> ExchangeRun::fail(const Error& error) {
  co_await end(OwnEnding::of_failure(error, site_.loop().cut()));
}

/// The record stands in the log before the client can act on the answer.
Task<void> ExchangeRun::end(OwnEnding ending) {
  if (!ending.rejected_by.empty()) exchange().rejected_by = ending.rejected_by;
  // A failure does not take the place of what policy says of the request.
  const bool says_less = ending.action == Action::error && !exchange().denial_reason.empty();
  if (!ending.denial_reason.empty() && !says_less) exchange().denial_reason = ending.denial_reason;
  if (ending.frees_body) {
    exchange().body = {};
    body_.forget();
  }
  if (ending.before_policy) {
    record_refusal(ending);
  } else {
    record(ending.action, ending.status, ending.error);
  }
  if (ending.answered == OwnEnding::Answered::reset) client_.reset();
  if (ending.answered != OwnEnding::Answered::yes) co_return;
  if (config().proxy.explain_denials) ending.answer.denial_reason = exchange().denial_reason;
  co_await client_.answer(ending.answer);
}

std::uint64_t ExchangeRun::record_id() {
  if (record_id_ == 0) record_id_ = site_.recorder().take_id();
  return record_id_;
}

void ExchangeRun::record(Action action, int status, std::string_view error) {
  recorded_ = true;
  const Ending ending{action, status, error, (site_.loop().now() - began_).count(), record_id()};
  const std::uint64_t request_bytes = client_.body().size() - body_.left_out();
  Traffic traffic{relayed_bytes_.value_or(request_bytes), response_bytes_, state_.upstream_address,
                  upstream_ns_};
  add_parent(traffic, state_);
  site_.recorder().request(client_.client().arrival(), ending, traffic, host_, exchange());
}

void ExchangeRun::record_refusal(const OwnEnding& ending) {
  const transforms::Exchange& ex = exchange();
  const std::string_view target = ex.request.target;
  const bool read = ending.answer.form != OwnAnswer::Form::head_fault;
  client_.client().record_refusal(
      {host_, ex.request.method, read ? ex.path : target.substr(0, target.find('?')), ending.error,
       ending.status, (site_.loop().now() - began_).count()});
}

}  // namespace iron::proxy
