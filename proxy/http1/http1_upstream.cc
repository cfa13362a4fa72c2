#include "proxy/http1/http1_upstream.h"

#include <string>
#include <utility>

#include "proxy/http/header_rules.h"
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
std::string read_error_text(const UpstreamConnection& upstream) {
  const std::optional<int> alert = upstream.connection.stream().alert();
  if (alert) return tls::remote_alert_text(*alert);
  const int descriptor = upstream.connection.stream().descriptor();
  return "read tcp " + SocketAddress::local(descriptor).text() + "->" + upstream.address +
         ": read: connection reset by peer";
}

}  // namespace

Http1Upstream::Http1Upstream(UpstreamPtr connection,
                             Connection** user,
                             SecretPages& pages,
                             BufferPool& buffers,
                             FaultText faults)
    : connection_(std::move(connection)),
      buffers_(buffers),
      request_(connection_->connection, pages, buffers),
      parser_(HeadParser::Kind::response, faults),
      faults_(faults) {
  connection_->set_user(user);
}

BodySink& Http1Upstream::begin(const OutgoingHead& head, Pause& pause) {
  connection_->connection.set_pause(&pause);
  sensitive_ = head.sensitive;
  if (request_.begin(head)) connection_->belong_to_client();
  return request_;
}

Http1Upstream::Step Http1Upstream::fail_with(std::string text) {
  error_ = fail(std::move(text));
  return Step::failed;
}

Http1Upstream::Step Http1Upstream::read_head(Response& head, std::size_t& moved) {
  if (!unparsed_) {
    const Step filled = fill(moved);
    if (filled != Step::moved) return filled;
  }
  return parse(head);
}

Http1Upstream::Step Http1Upstream::fill(std::size_t& moved) {
  Connection& connection = connection_->connection;
  if (!connection.maybe_readable()) {
    if (input_.empty()) input_.release();  // behind an interim answer; the wait may be long
    connection.arm_read();
    return Step::blocked;
  }
  if (!input_.held()) input_ = buffers_.take(BufferPool::kSmall);
  if (sensitive_) input_.set_sensitive();
  const IoResult got = connection.read(input_.space());
  switch (got.status) {
    case Io::ok:
      input_.fill(got.size);
      moved += got.size;
      answered_ = true;
      return Step::moved;
    case Io::eof:
      return fail_with(answered_ ? "unexpected EOF" : "EOF");
    case Io::error:
      return fail_with(read_error_text(*connection_));
    default:
      if (input_.empty()) input_.release();
      return Step::blocked;
  }
}

Http1Upstream::Step Http1Upstream::parse(Response& head) {
  unparsed_ = false;
  switch (parser_.parse(input_.view(), kAnswerHeadLimits, head)) {
    case HeadParser::Status::fault:
      return fail_with(parser_.fault_text());
    case HeadParser::Status::incomplete:
      if (input_.space().empty()) {
        input_.grow(input_.capacity() * 4);
        parser_.restart();
      }
      return Step::moved;
    case HeadParser::Status::complete:
      break;
  }
  if (head.status >= 200 || head.status == 101) return Step::final;
  interim_bytes_ += parser_.consumed();
  if (++interim_count_ > kInterimAnswers || interim_bytes_ > kInterimBytes) {
    return fail_with("too many interim responses");
  }
  return Step::interim;
}

void Http1Upstream::pass_interim() {
  input_.consume(parser_.consumed());
  input_.compact();
  parser_.restart();
  unparsed_ = !input_.empty();
}

ResponseChecks Http1Upstream::check(const Response& head, std::string_view method) {
  return check_response(head, method, faults_);
}

BodySource& Http1Upstream::answer(const Response& head, const BodyFraming& framing) {
  persists_ = framing.kind != BodyFraming::Kind::until_close &&
              read_connection(head.headers).persistent(head.minor_version);
  input_.consume(parser_.consumed());
  const Http1Body::Place place{connection_->connection, input_, buffers_, sensitive_};
  return body_.emplace(place, framing, ChunkLines::of_origin);
}

Pipe Http1Upstream::pipe() {
  input_.consume(parser_.consumed());
  return {connection_->connection, std::move(input_)};
}

UpstreamPtr Http1Upstream::take_reusable() {
  if (!persists_ || !input_.empty() || !body_->done() || !request_.sent()) return nullptr;
  return std::move(connection_);
}

}  // namespace iron::proxy
