#include "proxy/answer_relay.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "proxy/worker.h"
#include "tls/error_text.h"

namespace iron::proxy {
namespace {

/// Body bytes that ride in the head's write; more than that goes straight from the upstream's
/// buffer.
constexpr std::size_t kRidingBytes = BufferPool::kSmall;
/// Size line, line ends and the last chunk.
constexpr std::size_t kChunkFraming = 32;
/// Above this, record plaintext is no longer wiped one by one: the wipe costs 6 to 10 % of a bulk
/// transfer, and each record overwrites the last. The block itself is wiped when it goes back.
constexpr std::size_t kBulkBytes = 256 * 1024;
/// How much of a filtered body is composed before it leaves.
constexpr std::size_t kFilteredBytes = BufferPool::kLarge;
/// So long an answer that may have to be cut waits for its body: most are complete by then, and can
/// still become a 502.
constexpr auto kWithhold = std::chrono::milliseconds(5);

bool is_event_stream(const Response& response) {
  const Field* type = response.headers.find("Content-Type");
  return type != nullptr && type->value.substr(0, 17) == "text/event-stream";
}

void append_chunk_size(std::string& out, std::size_t size) {
  char digits[16];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, size, 16).ptr).append("\r\n");
}

}  // namespace

/// How the body is delimited towards the client (RFC 9112 section 6), and whether the connection
/// can go on.
void AnswerRelay::plan(const BodyFraming& framing) {
  const Response& response = state_.response;
  const bool http11 = client_.minor_version == 1;
  drop_length_ = client_.scrub != nullptr && client_.scrub->reframes();
  switch (drop_length_ ? BodyFraming::Kind::until_close : framing.kind) {
    case BodyFraming::Kind::none:
      drop_length_ = response.status == 204;
      // HEAD and 304 keep what they announce, of a chunked answer too.
      if (response.headers.find("Transfer-Encoding") != nullptr && !drop_length_ && http11) {
        framing_ = ClientFraming::chunked;
      }
      break;
    case BodyFraming::Kind::length:
      framing_ = ClientFraming::length;
      break;
    case BodyFraming::Kind::chunked:
    case BodyFraming::Kind::until_close:
      framing_ = http11 ? ClientFraming::chunked : ClientFraming::close;
      chunking_ = http11;
      if (!http11) client_.keep_alive = false;
      break;
  }
  body_ = BodyReader(framing, ChunkLines::of_origin);
  keep_trailers_ = client_.te_trailers && chunking_ && framing.kind == BodyFraming::Kind::chunked;
  if (keep_trailers_) body_.keep_trailers();
  events_ = is_event_stream(response);
  const HopByHop connection = read_connection(response.headers);
  outcome_.upstream_reusable = framing.kind != BodyFraming::Kind::until_close &&
                               !connection.close &&
                               (response.minor_version == 1 || connection.keep_alive);
  outcome_.client_reusable = client_.keep_alive;
}

void AnswerRelay::write_head() {
  strip_response(state_.response.headers, keep_trailers_);
  ResponseHeadOptions options;
  options.client_minor = client_.minor_version;
  options.framing = framing_;
  options.drop_length = drop_length_;
  options.close = !client_.keep_alive && client_.minor_version == 1;
  options.keep_alive_10 = client_.keep_alive && client_.minor_version == 0;
  write_response_head(state_.response, options, out_);
  reply_.input.consume(reply_.head_size);
}

Task<AnswerRelay::Outcome> AnswerRelay::run(const BodyFraming& framing,
                                            const std::function<void(std::uint64_t)>& complete) {
  plan(framing);
  write_head();
  co_await relay_body(complete);
  if (bulk_) upstream_.connection.stream().set_bulk(false);
  if (!reply_.input.empty()) outcome_.upstream_reusable = false;  // bytes that belong to no answer
  if (!outcome_.problem.empty() && !outcome_.begun) {
    wipe({out_.data(), out_.size()});
    out_.clear();
  } else if (!outcome_.problem.empty()) {
    // What the client has must not look whole where only the end of the connection says so.
    if (framing_ == ClientFraming::close) session_.client().stream().reset_on_close();
    session_.client().stream().abandon();
  }
  co_return std::move(outcome_);
}

Task<void> AnswerRelay::relay_body(const std::function<void(std::uint64_t)>& complete) {
  if (client_.scrub != nullptr) withhold_until_ = std::chrono::steady_clock::now() + kWithhold;
  while (true) {
    const bool good = client_.scrub == nullptr ? gather() : gather_filtered();
    if (!good) {
      if (!outcome_.refused) fail_with("invalid byte in chunk length");
      co_return;
    }
    if (finished()) complete(outcome_.bytes);
    if (!withholds()) {
      const bool flushed = co_await flush();
      if (!flushed) {
        fail_with("write: broken pipe");
        co_return;
      }
    }
    if (finished()) co_return;
    if (!reply_.input.empty()) continue;
    settle_in_bulk();
    Step step = read_step();
    while (step == Step::blocked) {
      step = co_await wait();
      if (step == Step::moved) step = read_step();
    }
    if (step == Step::failed) co_return;
  }
}

/// Takes what the buffer holds out of its framing. False when the framing is broken.
bool AnswerRelay::gather() {
  Buffer& input = reply_.input;
  const bool rides = chunking_ || (!out_.empty() && input.size() <= kRidingBytes);
  if (!rides && !input.empty() && !body_.done()) {
    const BodyReader::Piece piece = body_.next(input.view());
    straight_ = piece.data;
    straight_consumed_ = piece.consumed;
    outcome_.bytes += piece.data.size();
    return !piece.fault;
  }
  while (!input.empty() && !body_.done()) {
    const BodyReader::Piece piece = body_.next(input.view());
    if (piece.fault) return false;
    if (!piece.data.empty()) {
      make_room(out_, piece.data.size() + kChunkFraming);
      if (chunking_) append_chunk_size(out_, piece.data.size());
      out_.append(piece.data);
      if (chunking_) out_.append("\r\n");
      outcome_.bytes += piece.data.size();
    }
    input.consume(piece.consumed);
  }
  if (body_.done() && chunking_ && !std::exchange(last_chunk_written_, true)) {
    make_room(out_, body_.trailers().size() + kChunkFraming);
    out_.append("0\r\n").append(body_.trailers()).append("\r\n");
  }
  return true;
}

/// gather() for a body that must be searched.
bool AnswerRelay::gather_filtered() {
  if (!filter_pieces()) return false;
  AnswerScrub& scrub = *client_.scrub;
  const bool last = finished() && !std::exchange(last_chunk_written_, true);
  if (last) {
    const Result<void> ended = scrub.end(filtered_);
    if (ended.has_error()) return refuse(ended.error());
  }
  if (!filtered_.empty()) {
    make_room(out_, filtered_.size() + kChunkFraming);
    if (chunking_) append_chunk_size(out_, filtered_.size());
    out_.append(filtered_);
    if (chunking_) out_.append("\r\n");
    outcome_.bytes += filtered_.size();
    filtered_.clear();
  }
  if (last && chunking_) {
    make_room(out_, 2 * body_.trailers().size() + kChunkFraming);
    out_.append("0\r\n");
    const Result<void> trailers = scrub.trailers(body_.trailers(), out_);
    if (trailers.has_error()) return refuse(trailers.error());
    out_.append("\r\n");
  }
  return true;
}

/// Fills filtered_ from the buffer.
bool AnswerRelay::filter_pieces() {
  Buffer& input = reply_.input;
  while (filtered_.size() < kFilteredBytes && !input.empty() && !finished()) {
    if (!piece_) piece_ = body_.next(input.view());
    if (piece_->fault) return false;
    const Result<bool> taken = client_.scrub->body(piece_->data, filtered_);
    if (taken.has_error()) return refuse(taken.error());
    if (!*taken) continue;
    input.consume(piece_->consumed);
    piece_.reset();
  }
  return true;
}

bool AnswerRelay::refuse(const Error& why) {
  fail_with(why.text);
  outcome_.refused = true;
  return false;
}

/// Whether an answer that may still have to be cut waits to begin.
bool AnswerRelay::withholds() const {
  return client_.scrub != nullptr && client_.scrub->may_cut() && !outcome_.begun && !finished() &&
         out_.size() < kFilteredBytes && std::chrono::steady_clock::now() < withhold_until_;
}

Task<bool> AnswerRelay::flush() {
  outcome_.begun = true;
  if (!out_.empty()) {
    const bool sent = co_await session_.send(out_);
    if (client_.sensitive) wipe({out_.data(), out_.size()});
    out_.clear();
    if (!sent) co_return false;
  }
  if (!straight_.empty()) {
    const bool sent = co_await session_.send(straight_);
    straight_ = {};
    if (!sent) co_return false;
  }
  reply_.input.consume(std::exchange(straight_consumed_, 0));
  co_return true;
}

/// A body that turns out large gets a large block, and record plaintext is wiped at its end only.
void AnswerRelay::settle_in_bulk() {
  Buffer& input = reply_.input;
  if (!bulk_ && outcome_.bytes > kBulkBytes) {
    bulk_ = upstream_.connection.stream().set_bulk(true);
  }
  if (input.empty() && input.capacity() < BufferPool::kLarge &&
      outcome_.bytes >= BufferPool::kSmall) {
    input.release();  // the next read takes a large block
  }
}

AnswerRelay::Step AnswerRelay::fail_with(std::string_view problem) {
  outcome_.problem = problem;
  outcome_.upstream_reusable = outcome_.client_reusable = false;
  return Step::failed;
}

/// Gathers what the upstream has sent: several records leave in one write.
AnswerRelay::Step AnswerRelay::read_step() {
  Buffer& input = reply_.input;
  if (!upstream_.connection.maybe_readable()) {
    if (input.held() && input.empty()) input.release();  // the wait may be long
    upstream_.connection.arm_read();
    return Step::blocked;
  }
  if (!input.held()) {
    input = session_.worker().buffers().take(
        outcome_.bytes >= BufferPool::kSmall ? BufferPool::kLarge : BufferPool::kSmall);
    if (client_.sensitive) input.set_sensitive();
  }
  input.compact();
  Step step = Step::blocked;
  while (!input.space().empty()) {
    const IoResult got = upstream_.connection.read(input.space());
    if (got.status == Io::ok) {
      input.fill(got.size);
      step = Step::moved;
      continue;
    }
    if (step == Step::moved) break;  // an end is seen again at the next read
    if (got.status == Io::eof && body_.finish_at_eof()) return Step::ended;
    if (got.status == Io::eof) return fail_with("unexpected EOF");
    if (got.status == Io::error) {
      const std::optional<int> alert = upstream_.connection.stream().alert();
      return fail_with(alert ? tls::remote_alert_text(*alert) : "read: connection reset by peer");
    }
    break;
  }
  return step;
}

Task<AnswerRelay::Step> AnswerRelay::wait() {
  if (session_.poll_client() == ClientSession::ClientState::gone)
    co_return fail_with("client gone");
  Pause& pause = session_.pause();
  const bool withheld = client_.scrub != nullptr && !outcome_.begun;
  if (withheld) {
    pause.set_deadline(withhold_until_);
  } else if (!events_) {
    pause.set_timeout(client_.stall_timeout);
  }
  co_await pause;
  if (session_.worker().cut()) co_return fail_with("shutting down");
  if (withheld && pause.expired()) {
    pause.clear_deadline();
    co_return Step::due;
  }
  if (pause.expired()) co_return fail_with("upstream stalled");
  pause.clear_deadline();
  co_return Step::moved;
}

}  // namespace iron::proxy
