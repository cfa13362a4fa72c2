#include "proxy/client/connect.h"

#include <chrono>
#include <memory>
#include <utility>

#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"

namespace iron::proxy {
namespace {

/// Runs the pipeline over the synthetic request of a tunnel. A body never exists, so it never asks
/// for one.
transforms::Pipeline::Progress judge(const Snapshot& snapshot, transforms::Exchange& exchange) {
  transforms::BodyNeed need;
  return snapshot.pipeline->run_request(exchange, need);
}

void log_outcome(ClientSession& session,
                 const std::string& target,
                 transforms::Pipeline::Progress progress,
                 const transforms::Exchange& exchange) {
  using Progress = transforms::Pipeline::Progress;
  Log& log = session.site().log();
  if (progress == Progress::rejected) {
    const Level level = exchange.quiet_refusal ? Level::debug : Level::info;
    log.write(level, "tunnel short-circuited by transform",
              {{"target", target}, {"status", std::int64_t{403}}});
  } else if (progress == Progress::failed) {
    log.write(Level::warn, "tunnel transform error",
              {{"target", target}, {"error", exchange.error}});
  }
}

}  // namespace

TunnelVerdict check_tunnel(ClientSession& session,
                           transforms::Exchange& exchange,
                           const policy::Authority& authority,
                           const std::string& target) {
  using Progress = transforms::Pipeline::Progress;
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
  const Progress progress = judge(*snapshot, exchange);
  // The record of the check is that of any tunnel; the session's own follows.
  if (passes_through) exchange.mode = transforms::Mode::mitm;

  TunnelVerdict verdict;
  verdict.allowed = progress == Progress::done;
  verdict.failed = progress == Progress::failed;
  if (snapshot->config.proxy.explain_denials) verdict.denial_reason = exchange.denial_reason;
  log_outcome(session, target, progress, exchange);

  Ending ending;
  if (verdict.failed) {
    ending = {Action::error, 502, exchange.error};
  } else if (!verdict.allowed) {
    ending = {Action::reject, 403};
  }
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
  return verdict;
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
  const TunnelVerdict verdict = check_tunnel(session, state->exchange, *authority, target);
  state.reset();
  head.release();
  if (!verdict.allowed) {
    const bool sent =
        co_await session.client().send(connect_forbidden(verdict.failed, verdict.denial_reason));
    if (sent) session.client().close_gently();
    co_return false;
  }
  const bool sent = co_await session.client().send(kConnectEstablished);
  co_return sent;
}

}  // namespace iron::proxy
