#include "proxy/admin/web_session.h"

#include <utility>

#include "policy/match/host.h"
#include "proxy/http/answers.h"
#include "proxy/http/header_rules.h"
#include "proxy/http1/body_reader.h"
#include "proxy/net/closing.h"
#include "proxy/wait/later.h"

namespace iron::proxy {
namespace {

constexpr std::size_t kMostBodyBytes = 256 * 1024;

/// What these listeners refuse besides faults of framing.
HeadFault page_fault(const Request& request, const RequestChecks& checks) {
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

/// Skips the empty line that old clients send behind a body; true while it may still come.
bool skip_blank_line(Buffer& input) {
  const BlankLine blank = input.empty() ? BlankLine::begun : leading_blank_line(input.view());
  if (blank == BlankLine::whole) input.consume(kBlankLineSize);
  return blank == BlankLine::begun;
}

}  // namespace

WebSession::WebSession(Site& site, WebHandler& pages, BoundSocket socket, std::string remote)
    : site_(site),
      pages_(pages),
      remote_(std::move(remote)),
      limits_(site.snapshot()->config.proxy.limits),
      head_limits_(site.snapshot()->head_limits()),
      pause_(site.loop()),
      client_(site.loop(), socket.release()),
      input_(site.buffers().take(BufferPool::kSmall)) {
  client_.set_pause(&pause_);
  input_.set_sensitive();  // the key of the management page
}

Task<void> WebSession::run() {
  bool first = true, goes_on = true;
  while (goes_on) {
    const bool has_head = co_await read_head(std::exchange(first, false));
    if (!has_head) co_return;
    goes_on = co_await exchange();
  }
}

/// Reads until a head is complete or faulty; false when the client is gone or too slow.
Task<bool> WebSession::read_head(bool first) {
  bool blank_line_may_come = !first, begun = false;
  parser_.restart();
  pause_.set_timeout(limits_.idle_timeout);
  while (true) {
    blank_line_may_come = blank_line_may_come && skip_blank_line(input_);
    const bool has_head = !input_.empty() && !blank_line_may_come;
    if (has_head && !std::exchange(begun, true)) pause_.set_timeout(limits_.request_head_timeout);
    if (has_head) {
      const HeadParser::Status status = parser_.parse(input_.view(), head_limits_, head_);
      if (status != HeadParser::Status::incomplete) {
        judge(status == HeadParser::Status::complete);
        co_return true;
      }
    }
    if (input_.space().empty()) {
      input_.grow(input_.capacity() * 4);
      parser_.restart();
    }
    const IoResult got = co_await read_some(client_, pause_, input_.space());
    if (got.status != Io::ok) co_return false;
    input_.fill(got.size);
  }
}

/// The faults of a head in the order in which they are told, in checks_; request_ if there is none.
void WebSession::judge(bool complete) {
  checks_ = complete ? check_request(head_) : RequestChecks{};
  request_.reset();
  HeadFault& fault = checks_.fault;
  if (!complete || fault == HeadFault::none) fault = parser_.fault();
  if (fault == HeadFault::none) fault = page_fault(head_, checks_);
  if (fault != HeadFault::none) return;
  request_ = web_request(head_, head_limits_.bytes);
  if (!request_) fault = HeadFault::malformed;
}

/// Answers the request, or refuses it; whether another one may follow.
Task<bool> WebSession::exchange() {
  if (checks_.fault != HeadFault::none) {
    const HeadRefusal refusal = head_refusal(checks_.fault);
    const bool told = co_await write_all(client_, pause_, refusal.answer, limits_.stall_timeout);
    if (told) co_await close_gently();
    co_return false;
  }
  const HopByHop connection = read_connection(head_.headers);
  const bool close = !connection.persistent(head_.minor_version) || body_stays_unread(checks_);
  WebHandler::Reply reply = pages_.serve(*request_, remote_);
  if (reply.later) co_await wait_for(reply);
  const std::string bytes = answer_bytes(std::move(reply.answer), *request_, close);
  const bool sent = co_await write_all(client_, pause_, bytes, limits_.stall_timeout);
  if (!sent) co_return false;
  input_.consume(parser_.consumed());
  bool keep = !close;
  if (keep) keep = co_await drop_body();
  if (!keep) co_await close_gently();
  if (keep) input_.compact();
  co_return keep;
}

/// Puts the answer that takes its time into `reply`, unless everything ends before.
Task<void> WebSession::wait_for(WebHandler::Reply& reply) {
  Later<WebAnswer> made(pause_);
  pause_.clear_deadline();
  reply.later(made.promise());
  const EventLoop& loop = site_.loop();
  const auto given_up = [&loop] { return loop.cut(); };
  std::optional<WebAnswer> answer = co_await await(made, pause_, given_up);
  if (answer) reply.answer = *std::move(answer);
}

/// Reads a body that nobody wants, within bounds.
Task<bool> WebSession::drop_body() {
  BodyReader body(checks_.framing);
  std::size_t dropped = 0;
  while (!body.done() && dropped < kMostBodyBytes) {
    if (input_.empty()) {
      const IoResult got = co_await read_some(client_, pause_, input_.space());
      if (got.status != Io::ok) co_return false;
      input_.fill(got.size);
    }
    const BodyReader::Piece piece = body.next(input_.view());
    if (piece.fault) co_return false;
    dropped += piece.consumed;
    input_.consume(piece.consumed);
  }
  co_return body.done();
}

/// The close behind an answer: what the client still sends must not destroy it.
Task<void> WebSession::close_gently() {
  input_.release();
  pause_.clear_deadline();
  co_await linger(client_, pause_, CloseClock::After::answer, site_.services().closes);
}

}  // namespace iron::proxy
