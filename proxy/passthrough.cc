#include "proxy/passthrough.h"

#include "proxy/relay.h"
#include "proxy/request_state.h"
#include "proxy/services.h"
#include "proxy/worker.h"
#include "tls/client_hello.h"

namespace iron::proxy {
namespace {

constexpr auto kHelloTimeout = std::chrono::seconds(5);
constexpr std::size_t kHelloBytes = 16 * 1024;
constexpr std::uint16_t kPort = 443;

/// One pass-through session: what its record needs.
struct PassThrough {
  explicit PassThrough(ClientSession& session_in)
      : session(session_in), state(session.worker().take_request_state()) {}

  Task<bool> read_hello();
  bool judge();
  Task<void> relay_session();
  void record(Action action, int status, std::string_view error);
  void debug(std::string_view message, std::string_view error) {
    session.worker().services().log.write(Level::debug, message, {{"error", error}});
  }

  ClientSession& session;
  RequestStatePtr state;
  std::shared_ptr<const Snapshot> snapshot = session.worker().snapshot();
  std::string server_name;
  SteadyTime began = std::chrono::steady_clock::now();
  std::uint64_t request_bytes = 0, response_bytes = 0;
};

Task<bool> PassThrough::read_hello() {
  session.pause().set_timeout(kHelloTimeout);
  while (true) {
    if (!session.input().empty()) {
      const tls::ClientHello hello = tls::peek_client_hello(session.input().view());
      if (hello.state == tls::ClientHello::State::not_tls) {
        debug(
            "sni passthrough error",
            "peek sni: tls handshake failed before client hello parsed: tls: first record does not "
            "look like a TLS handshake");
        co_return false;
      }
      if (hello.state == tls::ClientHello::State::complete) {
        server_name = hello.server_name;
        session.pause().clear_deadline();
        co_return true;
      }
    }
    const Io read = co_await session.read_more(kHelloBytes + BufferPool::kSmall);
    if (read != Io::ok) {
      debug("sni passthrough error",
            session.pause().expired() ? "peek sni: i/o timeout" : "peek sni: EOF");
      co_return false;
    }
  }
}

bool PassThrough::judge() {
  using Progress = transforms::Pipeline::Progress;
  transforms::Exchange& exchange = state->exchange;
  auto authority = policy::Authority::parse(server_name);
  if (!authority || authority->host.empty() || authority->port || authority->literal) {
    record(Action::error, 400, "client hello missing sni");
    return false;
  }
  exchange.mode = transforms::Mode::sni_only;
  exchange.client_tls = true;
  exchange.authority = std::move(*authority);
  exchange.remote_address = session.remote_address();
  transforms::BodyNeed need;
  const Progress progress = snapshot->pipeline->run_request(exchange, need);
  if (progress == Progress::done) return true;
  if (progress == Progress::failed) {
    record(Action::error, 502, exchange.error);
    return false;
  }
  const Level level = exchange.quiet_refusal ? Level::debug : Level::info;
  session.worker().services().log.write(level, "sni passthrough short-circuited by transform",
                                        {{"sni", server_name}, {"status", std::int64_t{403}}});
  record(Action::reject, 403, {});
  return false;
}

void PassThrough::record(Action action, int status, std::string_view error) {
  session.note_request();
  const Ending ending{action, status, error, (std::chrono::steady_clock::now() - began).count()};
  const Transfer transfer{request_bytes, response_bytes, state->upstream_address, {}};
  session.worker().recorder().pass_through(session.arrival(), ending, transfer, server_name,
                                           state->exchange);
}

Task<void> PassThrough::relay_session() {
  Worker& worker = session.worker();
  state->target.host = state->exchange.authority.host;
  state->target.port = kPort;
  UpstreamPool::make_key(state->target, state->pool_key);
  session.request_complete(false);
  const DialRequest request{*snapshot, state->target, state->pool_key, session,
                            state->upstream_address};
  Result<UpstreamPtr> dialled = co_await dial_tcp(worker, session.pause(), request);
  if (dialled.has_error()) {
    const bool gone = dialled.error().fault == Fault::client_gone;
    if (gone)
      record(Action::client_cancel, 200, {});
    else
      record(Action::error, 502, dialled.error().text);
    co_return;
  }
  RelayFlow up, down;
  up.from = down.to = &session.client();
  up.to = down.from = &(*dialled)->connection;
  up.buffer = std::move(session.input());
  (*dialled)->connection.set_pause(&session.pause());
  RelayRules rules;
  rules.stall = snapshot->config.proxy.limits.stall_timeout;
  bool recorded = false;
  const auto record_once = [this, &up, &down, &recorded] {
    if (std::exchange(recorded, true)) return;
    request_bytes = up.bytes;
    response_bytes = down.bytes;
    record(Action::allow, 200, {});
  };
  rules.before_client_end = [this, &record_once]() -> RecordBatch::Wait& {
    record_once();
    return session.recorded();
  };
  const std::string problem = co_await relay(session.pause(), worker.buffers(), up, down, rules);
  if (!problem.empty()) debug("sni passthrough error", problem);
  record_once();
}

}  // namespace

Task<void> pass_through(ClientSession& session) {
  PassThrough pass(session);
  const bool hello = co_await pass.read_hello();
  if (!hello) co_return;
  if (!pass.judge()) co_return;
  co_await pass.relay_session();
}

}  // namespace iron::proxy
