#include "proxy/client/http_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "proxy/client/connect.h"
#include "proxy/exchange/exchange_run.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"
#include "proxy/http1/http1_client.h"

namespace iron::proxy {
namespace {

constexpr auto kLogFullPoll = std::chrono::milliseconds(20);
constexpr char kTlsRecord = 0x16;

/// Reads heads for one connection.
struct HeadReader {
  explicit HeadReader(ClientSession& session_in) : session(session_in) {}

  enum class Outcome { head, fault, closed };
  /// Reads the head whose first bytes have come into `request`.
  Task<Outcome> read(Request& request);

  ClientSession& session;
  HeadParser parser{HeadParser::Kind::request};
};

Task<HeadReader::Outcome> HeadReader::read(Request& request) {
  Pause& pause = session.client().pause();
  const std::shared_ptr<const Snapshot> snapshot = session.site().snapshot();
  const policy::Limits& limits = snapshot->config.proxy.limits;
  const HeadLimits head_limits = snapshot->head_limits();
  const bool handshake =
      session.client().entry() == Entry::tunnel && session.client().tunnel() == nullptr;
  parser.restart();
  bool timed = false;
  while (true) {
    const auto status = parser.parse(session.client().input().view(), head_limits, request);
    if (status == HeadParser::Status::complete) break;
    if (status == HeadParser::Status::fault) co_return Outcome::fault;
    // A ClientHello may hold no line end to wait for.
    if (session.client().input().view().starts_with(kTlsRecord)) co_return Outcome::fault;
    if (!std::exchange(timed, true)) {
      pause.set_timeout(handshake ? limits.handshake_timeout : limits.request_head_timeout);
    }
    const char* before = session.client().input().data();
    const Io read = co_await session.client().read_more(head_limits.bytes + BufferPool::kLarge);
    if (read != Io::ok) {
      const bool stopping = session.site().loop().draining() || session.site().loop().cut();
      co_return stopping ? Outcome::closed : Outcome::fault;
    }
    if (session.client().input().data() != before) parser.restart();
  }
  if (timed) pause.clear_deadline();
  co_return Outcome::head;
}

/// Whether the request line is one that this connection serves; the raw 405 otherwise.
bool method_allowed_here(const ClientSession& session, const Request& request) {
  const bool tunnel_port =
      session.client().entry() == Entry::tunnel && session.client().tunnel() == nullptr;
  if (request.method == "CONNECT")
    return session.client().tunnel() == nullptr && !session.client().over_tls();
  if (!tunnel_port) return true;
  const std::size_t scheme = request.target.find("://");
  return scheme != request.target.npos && iequals(request.target.substr(0, scheme), "http");
}

/// What a head tells for the record of its refusal.
Refusal refusal_of(const Request& request) {
  Refusal refusal;
  refusal.method = request.method;
  if (request.method == "CONNECT") {
    refusal.host = request.target;
    return refusal;
  }
  refusal.path = request.target.substr(0, request.target.find('?'));
  const Field* host = request.headers.find("Host");
  if (host != nullptr) refusal.host = host->value;
  return refusal;
}

Task<void> refuse_head(ClientSession& session,
                       const Request& request,
                       const HeadParser& parser,
                       HeadFault fault) {
  const bool tunnel_port =
      session.client().entry() == Entry::tunnel && session.client().tunnel() == nullptr;
  const bool known = parser.has_start_line();
  Refusal refusal;
  if (known || fault == HeadFault::preface) refusal = refusal_of(request);
  const HeadRefusal answer = head_refusal(fault);
  refusal.status = answer.status;
  refusal.error = answer.record_error;
  // Garbage on the tunnel port has neither answer nor record.
  const bool garbage = tunnel_port && !known && request.method != "CONNECT";
  const bool deadline = parser.fault() == HeadFault::none && fault == HeadFault::malformed;
  if (garbage) {
    session.site().log().write(
        Level::debug, "tunnel connect error",
        {{"error", std::string_view("read request: malformed HTTP request")}});
    session.client().close_gently();  // an answer to what came before may still be on its way
    co_return;
  }
  session.client().record_refusal(refusal);
  if (deadline && session.client().pause().expired()) co_return;
  const bool sent = co_await session.client().send(answer.answer);
  if (sent) session.client().close_gently();
}

Task<void> refuse_method(ClientSession& session, const Request& request) {
  Refusal refusal = refusal_of(request);
  refusal.status = 405;
  refusal.error = "method not allowed here";
  session.client().record_refusal(refusal);
  const bool sent = co_await session.client().send(kMethodNotAllowed);
  if (sent) session.client().close_gently();
}

/// What lies behind the head goes into a buffer of its own, so that the head's bytes stay where
/// they are.
Buffer split_head(ClientSession& session, std::size_t head_size) {
  Buffer head = std::move(session.client().input());
  const std::string_view rest = head.view().substr(head_size);
  if (!rest.empty()) {
    session.client().take_input(rest.size());
    session.client().input().append(rest);
  }
  return head;
}

}  // namespace

Task<bool> await_log(ClientSession& session) {
  while (session.site().log().full()) {
    Pause& pause = session.client().pause();
    pause.set_timeout(kLogFullPoll);
    co_await pause;
    if (session.site().loop().cut()) co_return false;
  }
  session.client().pause().clear_deadline();
  co_return true;
}

namespace {

/// Faults that only the whole head shows, in the order in which they are reported.
HeadFault judge_head(const Request& request, const HeadParser& parser, RequestChecks& checks) {
  HeadFault fault = checks.fault;
  // The target of a CONNECT says it all.
  if (request.method == "CONNECT" && fault == HeadFault::missing_host) fault = HeadFault::none;
  if ((fault == HeadFault::none || fault == HeadFault::expectation) && checks.host != nullptr &&
      !policy::Authority::acceptable(checks.host->value)) {
    return HeadFault::malformed_host;
  }
  if ((fault == HeadFault::none || fault == HeadFault::expectation) &&
      parser.fault() != HeadFault::none) {
    return parser.fault();
  }
  return fault;
}

enum class Next { request, tunnel, close };

/// One head and what it asks for.
Task<Next> serve_one(ClientSession& session) {
  RequestStatePtr state = session.site().take_request_state();
  const Request& request = state->exchange.request;
  HeadReader reader(session);
  const auto outcome = co_await reader.read(state->exchange.request);
  if (outcome == HeadReader::Outcome::closed) co_return Next::close;
  session.client().note_request();
  if (outcome == HeadReader::Outcome::fault) {
    const HeadFault fault = reader.parser.fault();
    co_await refuse_head(session, request, reader.parser,
                         fault == HeadFault::none ? HeadFault::malformed : fault);
    co_return Next::close;
  }
  if (!method_allowed_here(session, request)) {
    co_await refuse_method(session, request);
    co_return Next::close;
  }
  RequestChecks checks = check_request(request);
  const HeadFault fault = judge_head(request, reader.parser, checks);
  if (fault != HeadFault::none) {
    co_await refuse_head(session, request, reader.parser, fault);
    co_return Next::close;
  }
  Buffer head = split_head(session, reader.parser.consumed());
  if (session.site().log().full()) {
    const bool go_on = co_await await_log(session);
    if (!go_on) co_return Next::close;
  }
  if (request.method == "CONNECT") {
    const bool good = co_await serve_connect(session, std::move(state), std::move(head));
    co_return good ? Next::tunnel : Next::close;
  }
  ClientConnection& client = session.client();
  client.pause().yield_to_drain(false);
  client.set_stall_timeout(session.site().snapshot()->config.proxy.limits.stall_timeout);
  Http1Client stream(client, request, std::move(head), checks, state->answer_head);
  const std::string_view host = checks.host != nullptr ? checks.host->value : std::string_view();
  ExchangeRun run(session.site(), stream, *state, host);
  co_await run.run();
  client.pause().yield_to_drain(true);
  if (!stream.goes_on()) co_return Next::close;
  if (!session.site().loop().draining()) co_return Next::request;
  client.close_gently();
  co_return Next::close;
}

}  // namespace

namespace {

/// Waits for the next request of a connection that had one. A CRLF in front of it, which old
/// clients send behind a body, is skipped and asks for nothing (RFC 9112 section 2.2): time runs as
/// if it had not come.
Task<bool> await_next_request(ClientSession& session, policy::Duration silence) {
  const SteadyTime begin = session.site().loop().now();
  const auto left = [begin, whole = silence, &loop = session.site().loop()] {
    return std::max(whole - (loop.now() - begin), policy::Duration(0));
  };
  bool arrived = co_await session.client().await_bytes(silence);
  if (!arrived) co_return false;
  BlankLine blank = leading_blank_line(session.client().input().view());
  while (blank == BlankLine::begun) {
    session.client().input().compact();
    session.client().pause().set_timeout(left());
    const Io read = co_await session.client().read_more(BufferPool::kSmall);
    if (read != Io::ok) co_return false;
    blank = leading_blank_line(session.client().input().view());
  }
  session.client().pause().clear_deadline();
  if (blank == BlankLine::none) co_return true;
  session.client().input().consume(kBlankLineSize);
  silence = left();
  arrived = co_await session.client().await_bytes(silence);
  co_return arrived;
}

}  // namespace

Task<bool> serve_http(ClientSession& session) {
  policy::Duration silence = session.site().snapshot()->config.proxy.limits.first_byte_timeout;
  bool arrived = co_await session.client().await_bytes(silence);
  Next next = Next::request;
  while (arrived) {
    next = co_await serve_one(session);
    if (next != Next::request) break;
    silence = session.site().snapshot()->config.proxy.limits.idle_timeout;
    arrived = co_await await_next_request(session, silence);
  }
  if (next == Next::tunnel) co_return true;
  // A reset would destroy what is on its way of the last answer.
  if (!arrived && !session.client().stream().all_acknowledged()) {
    session.client().close_gently(CloseClock::After::idling);
  }
  co_await session.client().recorded();
  if (session.client().over_tls() && !session.client().closes_gently() &&
      !session.client().stream().abandoned()) {
    session.client().stream().end_writing();
  }
  co_return false;
}

}  // namespace iron::proxy
