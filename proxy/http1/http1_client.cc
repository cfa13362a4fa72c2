#include "proxy/http1/http1_client.h"

#include <chrono>
#include <utility>

#include "policy/secret/secret.h"

namespace iron::proxy {
namespace {

/// How much of a body is read behind its answer, and for how long, so that the connection can go
/// on.
constexpr std::size_t kDrainBytes = 256 * 1024;
constexpr auto kDrainTime = std::chrono::seconds(5);

}  // namespace

Http1Client::Http1Client(ClientConnection& client,
                         const Request& request,
                         Buffer head,
                         const RequestChecks& checks,
                         std::string& composed)
    : client_(client),
      request_(request),
      minor_version_(request.minor_version),
      head_(std::move(head)),
      framing_(checks.framing),
      hop_by_hop_(read_connection(request.headers)),
      body_({client.connection(), client.input(), client.buffers()},
            checks.framing,
            ChunkLines::of_client),
      watch_(client, body_),
      composed_(composed),
      expects_continue_(checks.expects_continue && request.minor_version == 1 &&
                        checks.framing.kind != BodyFraming::Kind::none) {}

bool Http1Client::wants_close() const {
  return !hop_by_hop_.persistent(minor_version_) || client_.loop().draining() ||
         watch_.presence() != Presence::present;
}

/// An answer comes before the rest of the body: whether that rest is too much to read, or nobody
/// knows how much it is.
bool Http1Client::body_will_be_dropped() const {
  if (body_.done()) return false;
  if (expects_continue_ && !continue_sent_) return true;
  if (framing_.kind == BodyFraming::Kind::chunked) {
    return body_.look_ahead() != BodySource::Ahead::complete;
  }
  return body_.remaining() > kDrainBytes;
}

Task<bool> Http1Client::go_on() {
  if (!expects_continue_ || std::exchange(continue_sent_, true)) co_return true;
  const bool sent = co_await client_.send(kContinue);
  co_return sent;
}

/// An HTTP/1.0 client knows none, and no 100 follows one of our own.
bool Http1Client::takes_interim(int status) const {
  return minor_version_ == 1 && (status != 100 || !continue_sent_);
}

Task<bool> Http1Client::send_interim(Response& head, bool sensitive) {
  strip_response(head.headers, false);
  head.headers.remove_if([](const Field& field) {
    return iequals(field.name, "Content-Length") || iequals(field.name, "Transfer-Encoding");
  });
  std::string text;
  write_response_head(head, ResponseHeadOptions{}, text);
  const bool sent = co_await client_.send(text);
  if (sensitive) wipe({text.data(), text.size()});
  co_return sent;
}

BodySink& Http1Client::begin(Response& head,
                             const BodyFraming& framing,
                             const BodySource& body,
                             const Terms& terms) {
  // Only an answer that is here in full is known to leave a part of the request's body unread.
  const bool cuts_body = body_will_be_dropped() && body.look_ahead() == BodySource::Ahead::complete;
  Http1Answer::Terms of_answer;
  of_answer.minor_version = minor_version_;
  of_answer.keep_alive = !wants_close() && !cuts_body;
  of_answer.te_trailers = hop_by_hop_.te_trailers;
  of_answer.sensitive = terms.sensitive;
  answer_.emplace(client_.connection(), composed_, of_answer);
  answer_->begin(head, framing, terms.reframes);
  return *answer_;
}

bool Http1Client::ended() {
  goes_on_ = body_.done() && answer_->reusable();
  return goes_on_;
}

Task<void> Http1Client::end() {
  if (!answer_->reusable() || body_will_be_dropped()) {
    client_.close_gently();
    co_return;
  }
  co_await drop_body();
}

Task<void> Http1Client::answer(const OwnAnswer& answer) {
  const bool close = answer.closes() || wants_close() || body_will_be_dropped();
  AnswerContext context;
  context.minor_version = minor_version_;
  context.head_method = request_.method == "HEAD";
  context.close = close;
  context.keep_alive_10 = minor_version_ == 0 && !close;
  const std::string text = write_own_answer(answer, context);
  const bool sent = co_await client_.send(text);
  if (!sent) co_return;
  if (close) {
    client_.close_gently();
    co_return;
  }
  co_await drop_body();
}

/// So that the connection can go on, if it is not too much.
Task<void> Http1Client::drop_body() {
  std::size_t dropped = 0;
  body_.take_arrived();  // what came before its answer was read for another reason
  Pause& pause = client_.pause();
  pause.set_timeout(kDrainTime);
  while (!body_.done() && dropped < kDrainBytes) {
    std::string_view bytes;
    const BodySource::Step read = body_.read(bytes);
    dropped += body_.take_arrived();
    if (read == BodySource::Step::bytes) {
      body_.drop();
    } else if (read == BodySource::Step::blocked && !pause.given_up()) {
      co_await pause;
    } else {
      break;
    }
  }
  pause.clear_deadline();
  goes_on_ = body_.done();
  if (!goes_on_) client_.close_gently();
}

Task<bool> Http1Client::switch_protocols(Response& head, bool sensitive) {
  strip_switching(head.headers);
  ResponseHeadOptions options;
  options.upgrade = true;
  options.drop_length = true;
  write_response_head(head, options, composed_);
  const bool sent = co_await client_.send(composed_);
  if (sensitive) wipe({composed_.data(), composed_.size()});
  composed_.clear();
  head_.release();
  co_return sent;
}

}  // namespace iron::proxy
