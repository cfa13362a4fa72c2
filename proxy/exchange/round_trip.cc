#include "proxy/exchange/round_trip.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"
#include "proxy/http/header_rules.h"
#include "proxy/net/silence.h"
#include "proxy/wait/socket_address.h"
#include "tls/error_text.h"

namespace iron::proxy {
namespace {

constexpr HeadLimits kAnswerHeadLimits{10485760, 10485760, 65536, 10000};
constexpr int kInterimAnswers = 16;
constexpr std::size_t kInterimBytes = 65536;

/// Why a read failed: `remote error: tls: certificate required` (in TLS 1.3 a server judges the
/// client after the handshake is over for the client), or `read tcp LOCAL->REMOTE: read: connection
/// reset by peer`.
std::string read_error_text(UpstreamConnection& upstream) {
  const std::optional<int> alert = upstream.connection.stream().alert();
  if (alert) return tls::remote_alert_text(*alert);
  const int descriptor = upstream.connection.stream().descriptor();
  return "read tcp " + SocketAddress::local(descriptor).text() + "->" + upstream.address +
         ": read: connection reset by peer";
}

}  // namespace

RoundTrip::Step RoundTrip::fail_with(std::string text, Fault fault) {
  error_ = fail(std::move(text), fault);
  return Step::failed;
}

Task<Result<void>> RoundTrip::run() {
  since_ = site_.loop().now();
  while (true) {
    Step step = upload_step();
    if (step != Step::failed) {
      const Step read = read_step();
      if (read != Step::blocked) step = read;
    }
    if (step == Step::interim) step = co_await relay_interim();
    if (step == Step::moved && turn_.over()) {
      turn_.begin();
      co_await client_.pause().pass_turn();
      if (site_.loop().cut()) co_return fail("shutting down", Fault::client_gone);
    }
    if (step == Step::blocked) step = co_await sleep();
    if (step == Step::failed) co_return std::move(error_);
    if (step == Step::complete) co_return Result<void>();
  }
}

RoundTrip::Step RoundTrip::upload_step() {
  if (upload_.finished() || upload_broken_) return Step::blocked;
  std::size_t moved = 0;
  const Upload::Step step = upload_.advance(upstream_.connection, turn_, moved);
  switch (step) {
    case Upload::Step::client_gone:
      return fail_with("client gone", Fault::client_gone);
    case Upload::Step::client_fault:
      return fail_with(std::string(kMalformedRequest), Fault::bad_request);
    case Upload::Step::upstream_failed:
      upload_broken_ = true;  // an answer may still be there to be read
      break;
    case Upload::Step::finished:
      reply_.upload_done = true;
      watch_.request_complete(true);
      break;
    case Upload::Step::blocked_client:
    case Upload::Step::blocked_upstream:
    case Upload::Step::turn_over:
      break;
  }
  if (moved > 0 || upload_.finished()) since_ = site_.loop().now();
  turn_.moved(moved);
  return step == Upload::Step::turn_over ? Step::moved : Step::blocked;
}

RoundTrip::Step RoundTrip::read_step() {
  Buffer& input = reply_.input;
  if (!upstream_.connection.maybe_readable()) {
    upstream_.connection.arm_read();
    return Step::blocked;
  }
  if (!input.held()) input = site_.buffers().take(BufferPool::kSmall);
  if (rules_.sensitive) input.set_sensitive();
  const IoResult got = upstream_.connection.read(input.space());
  switch (got.status) {
    case Io::ok:
      input.fill(got.size);
      turn_.moved(got.size);
      reply_.first_byte = true;
      if (!upload_.finished()) since_ = site_.loop().now();
      return parse_step();
    case Io::eof:
      return fail_with(reply_.first_byte ? "unexpected EOF" : "EOF");
    case Io::error:
      return fail_with(read_error_text(upstream_));
    default:
      if (input.empty()) input.release();
      return Step::blocked;
  }
}

RoundTrip::Step RoundTrip::parse_step() {
  Buffer& input = reply_.input;
  switch (reply_.parser.parse(input.view(), kAnswerHeadLimits, response_)) {
    case HeadParser::Status::fault:
      return fail_with(reply_.parser.fault_text());
    case HeadParser::Status::incomplete:
      if (input.space().empty()) {
        input.grow(input.capacity() * 4);
        reply_.parser.restart();
      }
      return Step::moved;
    case HeadParser::Status::complete:
      break;
  }
  if (response_.status < 200 && response_.status != 101) return Step::interim;
  reply_.head_size = reply_.parser.consumed();
  return Step::complete;
}

/// Interim answers go to HTTP/1.1 clients as received (RFC 9110 section 15.2), but for a 100 behind
/// one of our own.
Task<RoundTrip::Step> RoundTrip::relay_interim() {
  interim_bytes_ += reply_.parser.consumed();
  if (++interim_count_ > kInterimAnswers || interim_bytes_ > kInterimBytes) {
    co_return fail_with("too many interim responses");
  }
  if (rules_.relay_interim && (response_.status != 100 || rules_.relay_continue)) {
    if (rules_.filter != nullptr) {
      const Result<void> clean = rules_.filter->head(response_);
      if (clean.has_error()) co_return fail_with(clean.error().text);
    }
    strip_response(response_.headers, false);
    response_.headers.remove_if([](const Field& field) {
      return iequals(field.name, "Content-Length") || iequals(field.name, "Transfer-Encoding");
    });
    std::string head;
    write_response_head(response_, ResponseHeadOptions{}, head);
    const bool sent = co_await client_.send(head);
    if (rules_.sensitive) wipe({head.data(), head.size()});
    if (!sent) co_return fail_with("client gone", Fault::client_gone);
  }
  reply_.input.consume(reply_.parser.consumed());
  reply_.input.compact();
  reply_.parser.restart();
  if (reply_.input.empty()) co_return Step::moved;
  const Step next = parse_step();
  if (next != Step::interim) co_return next;
  const Step again = co_await relay_interim();
  co_return again;
}

/// Until when the upstream may be silent: from the end of the request for its head. Before that:
/// until when it must take what there is of the request, or the client send more.
SteadyTime RoundTrip::deadline() const {
  const policy::Duration allowed = upload_.finished()          ? rules_.header_timeout
                                   : upload_.awaiting_client() ? rules_.quiet_timeout
                                                               : rules_.stall_timeout;
  return std::min(later(since_, allowed), watch_.half_close_deadline());
}

Task<RoundTrip::Step> RoundTrip::sleep() {
  // While the body is awaited its bytes belong to the upload, which also sees the client's end.
  if (!upload_.awaiting_client() && watch_.abandoned()) {
    co_return fail_with("client gone", Fault::client_gone);
  }
  Pause& pause = client_.pause();
  pause.set_deadline(deadline());
  turn_.begin();
  co_await pause;
  if (site_.loop().cut()) co_return fail_with("shutting down", Fault::client_gone);
  if (!pause.expired()) co_return Step::moved;
  if (upload_.awaiting_client()) {
    co_return fail_with(silence_text("no byte from client", rules_.quiet_timeout, "quiet_timeout"),
                        Fault::client_silent);
  }
  if (watch_.abandoned()) co_return fail_with("client gone", Fault::client_gone);
  reply_.timed_out = true;
  if (!upload_.finished()) {
    co_return fail_with("write: i/o timeout (proxy.limits.stall_timeout " +
                        policy::format_duration(rules_.stall_timeout) + ")");
  }
  co_return fail_with(
      "net/http: timeout awaiting response headers "
      "(proxy.upstream_response_header_timeout " +
          policy::format_duration(rules_.header_timeout) + ")",
      Fault::header_timeout);
}

}  // namespace iron::proxy
