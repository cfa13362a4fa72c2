#include "proxy/admin/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "policy/match/host.h"
#include "policy/match/path.h"
#include "proxy/admin/admin_answers.h"
#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"
#include "proxy/http/header_rules.h"
#include "proxy/http1/body_reader.h"
#include "proxy/log/log.h"
#include "proxy/net/closing.h"
#include "proxy/net/connection.h"
#include "proxy/wait/later.h"

namespace iron::proxy {
namespace {

constexpr std::string_view kBearer = "Bearer ";
constexpr std::size_t kMostConnections = 256;
constexpr std::size_t kMostBodyBytes = 256 * 1024;

/// Both sides are hashed first, so that neither content nor length shows in the time taken.
bool same_key(std::string_view given, const Secret& key) {
  unsigned char left[SHA256_DIGEST_LENGTH], right[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(given.data()), given.size(), left);
  SHA256(reinterpret_cast<const unsigned char*>(key.reveal().data()), key.size(), right);
  return CRYPTO_memcmp(left, right, sizeof left) == 0;
}

/// What these listeners refuse besides faults of framing.
HeadFault admin_fault(const Request& request, const RequestChecks& checks) {
  if (checks.host != nullptr && !policy::Authority::parse(checks.host->value)) {
    return HeadFault::malformed_host;
  }
  const std::string_view target = request.target;
  const bool has_path = target.front() == '/' || target.find("://") != target.npos;
  const bool served = target == "*" ? request.method == "OPTIONS" : has_path;
  return served || request.method == "CONNECT" ? HeadFault::none : HeadFault::malformed;
}

/// Bodies are not read before the answer: one that the client holds back, or one that is too large
/// to be dropped, ends the connection.
bool body_stays_unread(const RequestChecks& checks) {
  const bool has_body = checks.framing.kind != BodyFraming::Kind::none;
  return has_body && (checks.expects_continue || checks.framing.length > kMostBodyBytes);
}

/// Reads a body that nobody wants, within bounds.
Task<bool> drop_body(Connection& client, Pause& pause, Buffer& input, const BodyFraming& framing) {
  BodyReader body(framing);
  std::size_t dropped = 0;
  while (!body.done() && dropped < kMostBodyBytes) {
    if (input.empty()) {
      const IoResult got = co_await read_some(client, pause, input.space());
      if (got.status != Io::ok) co_return false;
      input.fill(got.size);
    }
    const BodyReader::Piece piece = body.next(input.view());
    if (piece.fault) co_return false;
    dropped += piece.consumed;
    input.consume(piece.consumed);
  }
  co_return body.done();
}

/// The close behind an answer: what the client still sends must not destroy it.
Task<void> close_gently(Connection& client, Pause& pause, Buffer& input, ClosesUnderWay& closes) {
  input.release();
  pause.clear_deadline();
  co_await linger(client, pause, CloseClock::After::answer, closes);
}

/// Skips the empty line that old clients send behind a body; true while it may still come.
bool skip_blank_line(Buffer& input) {
  const BlankLine blank = input.empty() ? BlankLine::begun : leading_blank_line(input.view());
  if (blank == BlankLine::whole) input.consume(kBlankLineSize);
  return blank == BlankLine::begun;
}

}  // namespace

struct Admin::Accepting {
  Accepting(EventLoop& loop, int descriptor)
      : socket(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)), watch(loop, socket.get()), pause(loop) {
    watch.set_pause(&pause);
  }
  BoundSocket socket;
  Watch watch;  // behind the socket: it lets go of the descriptor before that is closed
  Pause pause;
  std::size_t open = 0;
  bool stopped = false;
};

Admin::Admin(Log& log, BoundSocket socket, const Role& role)
    : log_(log), socket_(std::move(socket)), role_(role) {}

Admin::~Admin() = default;

void Admin::listen() {
  if (::listen(socket_.get(), SOMAXCONN) != 0) {
    const bool metrics = role_.kind == Role::Kind::metrics;
    throw ListenFailed{metrics ? ListenFailed::kMetrics : ListenFailed::kManagement,
                       "listen tcp " + socket_.local_address() + ": bind: address already in use"};
  }
}

void Admin::start(Site& site) {
  site_ = &site;
  accepting_ = std::make_unique<Accepting>(site.loop(), socket_.get());
  proxy::start(accept_all(), [this](std::exception_ptr failure) { log_.session_failed(failure); });
}

void Admin::stop() {
  if (!accepting_) return;
  accepting_->stopped = true;
  accepting_->pause.wake();
}

Task<void> Admin::accept_all() {
  while (!accepting_->stopped) {
    accepting_->watch.arm_read();
    co_await accepting_->pause;
    if (accepting_->stopped || !accepting_->watch.readable()) continue;
    accepting_->watch.clear_readable();
    accept_one();
  }
}

void Admin::accept_one() {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  BoundSocket accepted(::accept4(accepting_->socket.get(), reinterpret_cast<sockaddr*>(&storage),
                                 &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (accepted.get() < 0 || accepting_->open >= kMostConnections) return;
  start_session(accepted.release(), storage);
}

void Admin::start_session(int descriptor, const sockaddr_storage& peer) {
  BoundSocket connection(descriptor);
  try {
    proxy::start(serve(std::move(connection), peer_text(peer)),
                 [this](std::exception_ptr failure) { log_.session_failed(failure); });
  } catch (const std::exception&) {
    log_.session_failed(std::current_exception());
  }
}

Task<void> Admin::serve(BoundSocket socket, std::string remote) {
  struct Leave {
    std::size_t& open;
    ~Leave() { --open; }
  } leave{accepting_->open};
  ++accepting_->open;
  Pause pause(site_->loop());
  Connection client(site_->loop(), socket.release());
  client.set_pause(&pause);
  const policy::Limits limits = site_->snapshot()->config.proxy.limits;
  const HeadLimits head_limits = site_->snapshot()->head_limits();
  HeadParser parser(HeadParser::Kind::request);
  Request request;
  Buffer input = site_->buffers().take(BufferPool::kSmall);
  for (bool first = true;; first = false) {
    bool blank_line_may_come = !first, begun = false;
    parser.restart();
    pause.set_timeout(limits.idle_timeout);
    HeadParser::Status status = HeadParser::Status::incomplete;
    while (status == HeadParser::Status::incomplete) {
      blank_line_may_come = blank_line_may_come && skip_blank_line(input);
      const bool has_head = !input.empty() && !blank_line_may_come;
      if (has_head && !std::exchange(begun, true)) pause.set_timeout(limits.request_head_timeout);
      if (has_head) status = parser.parse(input.view(), head_limits, request);
      if (status != HeadParser::Status::incomplete) break;
      if (input.space().empty()) {
        input.grow(input.capacity() * 4);
        parser.restart();
      }
      const IoResult got = co_await read_some(client, pause, input.space());
      if (got.status != Io::ok) co_return;
      input.fill(got.size);
    }
    const RequestChecks checks =
        status == HeadParser::Status::complete ? check_request(request) : RequestChecks{};
    HeadFault fault = status == HeadParser::Status::complete ? checks.fault : parser.fault();
    if (fault == HeadFault::none) fault = parser.fault();
    if (fault == HeadFault::none) fault = admin_fault(request, checks);
    if (fault != HeadFault::none) {
      const HeadRefusal refusal = head_refusal(fault);
      const bool told = co_await write_all(client, pause, refusal.answer, limits.stall_timeout);
      if (told) co_await close_gently(client, pause, input, site_->services().closes);
      co_return;
    }
    const HopByHop connection = read_connection(request.headers);
    const bool close = !connection.persistent(request.minor_version) || body_stays_unread(checks);
    const std::string text = co_await answer(pause, request, remote, close);
    const bool sent = co_await write_all(client, pause, text, limits.stall_timeout);
    if (!sent) co_return;
    input.consume(parser.consumed());
    bool keep = !close;
    if (keep) keep = co_await drop_body(client, pause, input, checks.framing);
    if (!keep) {
      co_await close_gently(client, pause, input, site_->services().closes);
      co_return;
    }
    input.compact();
  }
}

Task<std::string> Admin::answer(Pause& pause,
                                const Request& request,
                                const std::string& remote,
                                bool close) {
  if (request.method == "OPTIONS" && request.target == "*") {
    co_return admin_answer({"200 OK", "Content-Length: 0\r\n", {}, false}, request, close);
  }
  std::string_view target = request.target;
  if (const std::size_t scheme = target.find("://");
      scheme != target.npos && target.front() != '/') {
    target = target.substr(std::min(target.find('/', scheme + 3), target.size()));
  }
  const std::size_t query = target.find('?');
  const std::string_view raw_path = target.substr(0, query);
  std::string path;
  if (request.method == "CONNECT" || !policy::percent_decode(raw_path, path)) {
    co_return not_found_answer(request, close);
  }
  const std::string clean = clean_path(raw_path);
  if (clean != raw_path) {
    const std::string_view rest = query == target.npos ? std::string_view() : target.substr(query);
    co_return redirect_answer(request, uri_path(clean).append(rest), close);
  }
  const std::string_view known = role_.kind == Role::Kind::metrics ? "/healthz" : "/v1/reload";
  if (path != known) co_return not_found_answer(request, close);
  if (role_.kind == Role::Kind::metrics) co_return health_answer(request, close);
  std::string text = co_await reload(pause, request, remote, close);
  co_return text;
}

Task<std::string> Admin::reload(Pause& pause,
                                const Request& request,
                                const std::string& remote,
                                bool close) {
  constexpr const char* kJson = "Content-Type: application/json\r\n";
  const Field* field = request.headers.find("Authorization");
  const std::string_view given = field != nullptr ? field->value : std::string_view();
  if (given.substr(0, kBearer.size()) != kBearer ||
      !same_key(given.substr(kBearer.size()), *role_.key)) {
    note_failed_authentication(remote);
    co_return admin_answer({"401 Unauthorized", kJson, "{\"error\":\"unauthorized\"}\n"}, request,
                           close);
  }
  if (request.method != "POST") {
    co_return admin_answer({"405 Method Not Allowed", std::string("Allow: POST\r\n") + kJson,
                            "{\"error\":\"method not allowed\"}\n"},
                           request, close);
  }
  Later<Reload::Outcome> reloaded(pause);
  pause.clear_deadline();
  role_.reload->request(reloaded.promise());
  const EventLoop& loop = pause.loop();
  const auto given_up = [&loop] { return loop.cut(); };
  const std::optional<Reload::Outcome> told = co_await await(reloaded, pause, given_up);
  const Reload::Outcome outcome = told.value_or(Reload::Outcome{500, {}});
  if (outcome.status == 422) {
    co_return admin_answer({"422 Unprocessable Entity", kJson, json_error_body(outcome.error)},
                           request, close);
  }
  if (outcome.status != 200) {
    co_return admin_answer({"500 Internal Server Error", kJson, "{\"error\":\"internal error\"}\n"},
                           request, close);
  }
  co_return admin_answer({"200 OK", kJson, "{\"status\":\"ok\"}\n"}, request, close);
}

void Admin::note_failed_authentication(const std::string& remote) {
  const SteadyTime now = site_->loop().now();
  if (last_failure_noted_ != SteadyTime{} && now - last_failure_noted_ < std::chrono::seconds(1))
    return;
  last_failure_noted_ = now;
  log_.write(Level::warn, "management authentication failed", {{"remote_addr", remote}});
}

}  // namespace iron::proxy
