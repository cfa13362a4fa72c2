#include "proxy/client/passthrough.h"

#include "proxy/exchange/request_state.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/exchange/supply_desk.h"
#include "proxy/http1/client_watch.h"
#include "proxy/net/hello_gate.h"
#include "proxy/net/relay.h"
#include "tls/client_hello.h"

namespace iron::proxy {
namespace {

constexpr auto kHelloTimeout = std::chrono::seconds(5);
constexpr std::size_t kHelloBytes = 16 * 1024;
constexpr std::uint16_t kPort = 443;

/// While the upstream is dialled, a client that has said all it will say still waits for an answer.
struct HalfClosedStays final : Abandonment {
  explicit HalfClosedStays(ClientWatch& watch_in) : watch(watch_in) {}
  bool abandoned() override { return watch.poll() == Presence::gone; }
  ClientWatch& watch;
};

/// One pass-through session: what its record needs.
struct PassThrough {
  PassThrough(ClientSession& session_in, transforms::Mode mode)
      : session(session_in),
        state(session.site().take_request_state()),
        watch(session.client(), mode == transforms::Mode::passthrough) {
    state->exchange.mode = mode;
  }

  Task<bool> read_hello();
  bool take_name();
  Task<bool> judge();
  Task<Result<UpstreamPtr>> connect(DialRequest& request);
  Task<Result<UpstreamPtr>> dial(const policy::Authority& authority, std::uint16_t port);
  Task<void> relay_sni_only();
  Task<void> relay_unseen(const policy::Authority& authority, std::uint16_t port, HelloGate* gate);
  void record(Action action, int status, std::string_view error);
  /// Of a hello that cannot be read; beside interception the handshake has its own words for it.
  void debug_hello(std::string_view error) {
    if (state->exchange.mode == transforms::Mode::sni_only) debug("sni passthrough error", error);
  }
  void debug(std::string_view message, std::string_view error) {
    session.site().log().write(Level::debug, message, {{"error", error}});
  }

  ClientSession& session;
  RequestStatePtr state;
  ClientWatch watch;
  std::shared_ptr<const Snapshot> snapshot = session.site().snapshot();
  std::string host, server_name;
  SteadyTime began = session.site().loop().now();
  std::uint64_t request_bytes = 0, response_bytes = 0;
};

Task<bool> PassThrough::read_hello() {
  session.client().pause().set_timeout(kHelloTimeout);
  while (true) {
    if (!session.client().input().empty()) {
      const tls::ClientHello hello = tls::peek_client_hello(session.client().input().view());
      if (hello.state == tls::ClientHello::State::not_tls) {
        debug_hello(
            "peek sni: tls handshake failed before client hello parsed: tls: first record does not "
            "look like a TLS handshake");
        co_return false;
      }
      if (hello.state == tls::ClientHello::State::complete) {
        server_name = hello.server_name;
        session.client().pause().clear_deadline();
        co_return true;
      }
    }
    const Io read = co_await session.client().read_more(kHelloBytes + BufferPool::kSmall);
    if (read != Io::ok) {
      debug_hello(session.client().pause().expired() ? "peek sni: i/o timeout" : "peek sni: EOF");
      co_return false;
    }
  }
}

/// False: the hello names no host.
bool PassThrough::take_name() {
  auto authority = policy::Authority::parse(server_name);
  if (!authority || authority->host.empty() || authority->port || authority->literal) return false;
  state->exchange.authority = std::move(*authority);
  host = server_name;
  return true;
}

/// False: it goes nowhere, and is recorded.
Task<bool> PassThrough::judge() {
  using Progress = transforms::Pipeline::Progress;
  transforms::Exchange& exchange = state->exchange;
  exchange.client_tls = true;
  exchange.remote_address = session.client().remote_address();
  begin_supplies(session.site(), *snapshot, exchange);
  transforms::BodyNeed need;
  Progress progress = snapshot->pipeline->run_request(exchange, need);
  while (progress == Progress::wait) {
    const bool came = co_await await_supply(session.site(), *snapshot, exchange,
                                            session.client().pause(), &watch);
    if (!came) {
      record(Action::client_cancel, 200, {});
      co_return false;
    }
    progress = snapshot->pipeline->run_request(exchange, need);
  }
  if (progress == Progress::done) co_return true;
  if (progress == Progress::failed) {
    record(Action::error, 502, exchange.error);
    co_return false;
  }
  const int status = exchange.answer ? exchange.answer->status : 403;
  const Level level = exchange.quiet_refusal ? Level::debug : Level::info;
  session.site().log().write(level, "sni passthrough short-circuited by transform",
                             {{"sni", server_name}, {"status", std::int64_t{status}}});
  record(progress == Progress::answered ? Action::stub : Action::reject, status, {});
  co_return false;
}

void PassThrough::record(Action action, int status, std::string_view error) {
  session.client().note_request();
  const Ending ending{action, status, error, (session.site().loop().now() - began).count()};
  Traffic traffic{request_bytes, response_bytes, state->upstream_address, {}};
  add_parent(traffic, *state);
  session.site().recorder().pass_through(session.client().arrival(), ending, traffic, host,
                                         server_name, state->exchange);
}

Task<Result<UpstreamPtr>> PassThrough::connect(DialRequest& request) {
  Pause& pause = session.client().pause();
  ParentHop hop;
  if (state->parent != nullptr) {
    auto admitted = co_await session.site().target_check().admit(pause, request, *state->parent);
    if (admitted.has_error()) co_return admitted.error();
    hop = *admitted;
    hop.handshake_timeout = snapshot->config.proxy.limits.handshake_timeout;
    state->name_only = hop.name_only;
    request.parent = &hop;
  }
  Result<UpstreamPtr> connected = co_await session.site().dialer().dial_tcp(pause, request);
  request.parent = nullptr;
  co_return std::move(connected);
}

/// A failure is recorded.
Task<Result<UpstreamPtr>> PassThrough::dial(const policy::Authority& authority,
                                            std::uint16_t port) {
  state->target.tls = false;
  state->target.host = authority.host;
  state->target.literal = authority.literal;
  state->target.port = port;
  UpstreamPool::make_key(state->target, state->pool_key);
  state->parent = snapshot->parents.of(state->target, true);
  const bool unseen = state->exchange.mode == transforms::Mode::passthrough;
  HalfClosedStays half_closed(watch);
  Abandonment& strict = watch;
  DialRequest request{snapshot->deny_list, state->target, state->pool_key,
                      unseen ? half_closed : strict, state->upstream_address};
  Result<UpstreamPtr> dialled = co_await connect(request);
  if (dialled.has_value()) co_return std::move(dialled);
  const bool gone = dialled.error().fault == Fault::client_gone;
  if (gone)
    record(Action::client_cancel, 200, {});
  else
    record(Action::error, 502, dialled.error().text);
  co_return std::move(dialled);
}

Task<void> PassThrough::relay_sni_only() {
  Site& site = session.site();
  Result<UpstreamPtr> dialled = co_await dial(state->exchange.authority, kPort);
  if (dialled.has_error()) co_return;
  RelayFlow up, down;
  up.from = down.to = &session.client().connection();
  up.to = down.from = &(*dialled)->connection;
  up.buffer = std::move(session.client().input());
  (*dialled)->connection.set_pause(&session.client().pause());
  RelayRules rules;
  rules.stall = snapshot->config.proxy.limits.stall_timeout;
  bool recorded = false;
  RelayEnd ended;
  const auto record_once = [this, &up, &down, &recorded, &ended] {
    if (std::exchange(recorded, true)) return;
    request_bytes = up.bytes;
    response_bytes = down.bytes;
    record(Action::allow, 200, ended.silent ? std::string_view(ended.problem) : "");
  };
  rules.before_client_end = [this, &record_once]() -> RecordBatch::Wait& {
    record_once();
    return session.client().recorded();
  };
  ended = co_await relay(session.client().pause(), site.buffers(), up, down, rules);
  if (!ended.problem.empty()) debug("sni passthrough error", ended.problem);
  record_once();
}

/// `gate` is null where the hello was judged before.
Task<void> PassThrough::relay_unseen(const policy::Authority& authority,
                                     std::uint16_t port,
                                     HelloGate* gate) {
  Site& site = session.site();
  Result<UpstreamPtr> dialled = co_await dial(authority, port);
  if (dialled.has_error()) {
    session.client().close_gently();
    co_return;
  }
  RelayFlow up, down;
  up.from = down.to = &session.client().connection();
  up.to = down.from = &(*dialled)->connection;
  up.buffer = std::move(session.client().input());
  up.reading = watch.presence() == Presence::present;
  up.first_bytes = gate;
  (*dialled)->connection.set_pause(&session.client().pause());
  RelayRules rules;
  rules.stall = snapshot->config.proxy.limits.stall_timeout;
  rules.after_end = std::chrono::seconds(0);
  bool recorded = false;
  const auto end = [&](Action action, int status, std::string_view error) {
    if (std::exchange(recorded, true)) return;
    request_bytes = up.bytes;
    response_bytes = down.bytes;
    if (gate != nullptr) server_name = gate->server_name();
    record(action, status, error);
  };
  rules.before_client_end = [&]() -> RecordBatch::Wait& {
    const bool in_judgement = up.first_bytes != nullptr && !up.buffer.empty();
    if (!in_judgement) end(Action::allow, 200, {});
    return session.client().recorded();
  };
  const RelayEnd ended = co_await relay(session.client().pause(), site.buffers(), up, down, rules);
  if (gate != nullptr && !gate->refusal().empty()) {
    state->exchange.rejected_by = "protocol";
    end(Action::reject, 400, gate->refusal());
    session.client().close_gently();
    co_return;
  }
  if (!ended.problem.empty()) debug("passthrough error", ended.problem);
  end(Action::allow, 200, ended.silent ? std::string_view(ended.problem) : "");
}

}  // namespace

Task<void> pass_through(ClientSession& session) {
  PassThrough pass(session, transforms::Mode::sni_only);
  const bool hello = co_await pass.read_hello();
  if (!hello) co_return;
  if (!pass.take_name()) {
    pass.host = pass.server_name;
    pass.record(Action::error, 400, "client hello missing sni");
    co_return;
  }
  const bool passes = co_await pass.judge();
  if (!passes) co_return;
  co_await pass.relay_sni_only();
}

Task<void> pass_tunnel_through(ClientSession& session) {
  const Tunnel& tunnel = *session.client().tunnel();
  PassThrough pass(session, transforms::Mode::passthrough);
  pass.host = tunnel.target;
  HelloGate gate(tunnel.authority);
  co_await pass.relay_unseen(tunnel.authority, *tunnel.authority.port, &gate);
}

Task<bool> pass_through_by_name(ClientSession& session) {
  if (session.site().snapshot()->pass_through.empty()) co_return false;
  PassThrough pass(session, transforms::Mode::passthrough);
  const bool hello = co_await pass.read_hello();
  if (!hello || !pass.take_name()) co_return false;
  if (!pass.snapshot->pass_through.matches(pass.state->exchange.authority, kPort)) co_return false;
  const bool passes = co_await pass.judge();
  if (passes) {
    // The state's own authority is what the exchange keeps for the record.
    const policy::Authority authority = pass.state->exchange.authority;
    co_await pass.relay_unseen(authority, kPort, nullptr);
  }
  co_return true;
}

}  // namespace iron::proxy
