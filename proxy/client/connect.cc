#include "proxy/client/connect.h"

#include <chrono>
#include <memory>
#include <utility>

#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/exchange/supply_desk.h"
#include "proxy/http/answers.h"

namespace iron::proxy {
namespace {

using Progress = transforms::Pipeline::Progress;

/// Runs the pipeline over the synthetic request of a tunnel. A body never exists, so it never asks
/// for one. Progress::wait: nobody waits any more.
Task<Progress> judge(ClientSession& session,
                     const Snapshot& snapshot,
                     transforms::Exchange& exchange) {
  begin_supplies(session.site(), snapshot, exchange);
  transforms::BodyNeed need;
  while (true) {
    const Progress progress = snapshot.pipeline->run_request(exchange, need);
    if (progress != Progress::wait) co_return progress;
    const bool came = co_await await_supply(session.site(), snapshot, exchange,
                                            session.client().pause(), nullptr);
    if (!came) co_return progress;
  }
}

/// How the tunnel's check ended, for its record.
Ending ending_of(Progress progress, const transforms::Exchange& exchange) {
  switch (progress) {
    case Progress::done:
      return {};
    case Progress::failed:
      return {Action::error, 502, exchange.error};
    case Progress::answered:
      return {Action::stub, exchange.answer->status};
    case Progress::wait:
      return {Action::client_cancel, 200};
    case Progress::rejected:
    case Progress::need_body:
      break;
  }
  return {Action::reject, exchange.answer ? exchange.answer->status : 403};
}

std::string answer_to(Progress progress, const transforms::Exchange& exchange, bool explains) {
  const std::string_view reason = explains ? std::string_view(exchange.denial_reason) : "";
  const auto& answer = exchange.answer;
  if (progress == Progress::failed || !answer) {
    return connect_forbidden(progress == Progress::failed, reason);
  }
  return connect_answer(answer->status, answer->content_type, answer->body, reason);
}

void log_outcome(ClientSession& session,
                 const std::string& target,
                 Progress progress,
                 const Ending& ending,
                 const transforms::Exchange& exchange) {
  Log& log = session.site().log();
  if (progress == Progress::rejected || progress == Progress::answered) {
    const Level level = exchange.quiet_refusal ? Level::debug : Level::info;
    log.write(level, "tunnel short-circuited by transform",
              {{"target", target}, {"status", std::int64_t{ending.status}}});
  } else if (progress == Progress::failed) {
    log.write(Level::warn, "tunnel transform error",
              {{"target", target}, {"error", exchange.error}});
  }
}

}  // namespace

Task<TunnelVerdict> check_tunnel(ClientSession& session,
                                 transforms::Exchange& exchange,
                                 policy::Authority authority,
                                 std::string target) {
  const std::shared_ptr<const Snapshot> snapshot = session.site().snapshot();
  const bool sni_only = snapshot->config.tls.sni_only();
  const auto began = session.site().loop().now();
  const bool passes_through = snapshot->pass_through.matches(authority, *authority.port);
  exchange.mode = sni_only         ? transforms::Mode::sni_only
                  : passes_through ? transforms::Mode::passthrough
                                   : transforms::Mode::mitm;
  exchange.tunnel_check = true;
  exchange.authority = authority;
  exchange.request.method = "CONNECT";
  exchange.remote_address = session.client().remote_address();
  const Progress progress = co_await judge(session, *snapshot, exchange);
  // The record of the check is that of any tunnel; the session's own follows.
  if (passes_through) exchange.mode = transforms::Mode::mitm;

  TunnelVerdict verdict;
  verdict.allowed = progress == Progress::done;
  verdict.gone = progress == Progress::wait;
  if (!verdict.allowed) {
    verdict.answer = answer_to(progress, exchange, snapshot->config.proxy.explain_denials);
  }
  Ending ending = ending_of(progress, exchange);
  log_outcome(session, target, progress, ending, exchange);
  ending.duration_ns = (session.site().loop().now() - began).count();
  session.site().recorder().tunnel(session.client().arrival(), ending, target, exchange);
  if (verdict.allowed) {
    auto tunnel = std::make_unique<Tunnel>();
    tunnel->target = target;
    tunnel->authority = authority;
    tunnel->rendered = render_tunnel(target, exchange);
    tunnel->passes_through = passes_through;
    tunnel->opened = session.site().loop().now();
    session.client().set_tunnel(std::move(tunnel));
  }
  co_return verdict;
}

Task<bool> serve_connect(ClientSession& session, RequestStatePtr state, Buffer head) {
  const std::string_view text = state->exchange.request.target;
  auto authority = policy::Authority::parse(text);
  // A colon asks for a port (RFC 9110 section 9.3.6); only a target without one means 443.
  if (!authority || authority->host.empty() || text.ends_with(':')) {
    Refusal refusal;
    refusal.host = text;
    refusal.method = "CONNECT";
    refusal.error = kMalformedRequest;
    session.client().record_refusal(refusal);
    const bool sent = co_await session.client().send(closing_answer("400 Bad Request"));
    if (sent) session.client().close_gently();
    co_return false;
  }
  std::string target(text);
  if (!authority->port) {
    target += ":443";
    authority->port = 443;
  }
  Log& log = session.site().log();
  if (log.enabled(Level::debug)) log.write(Level::debug, "tunnel CONNECT", {{"target", target}});
  const TunnelVerdict verdict = co_await check_tunnel(session, state->exchange, *authority, target);
  state.reset();
  head.release();
  if (verdict.gone) co_return false;
  if (!verdict.allowed) {
    const bool sent = co_await session.client().send(verdict.answer);
    if (sent) session.client().close_gently();
    co_return false;
  }
  const bool sent = co_await session.client().send(kConnectEstablished);
  co_return sent;
}

}  // namespace iron::proxy
