#include "proxy/exchange/answer_relay.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "proxy/exchange/site.h"
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

void append_chunk_size(std::string& out, std::size_t size) {
  char digits[16];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, size, 16).ptr).append("\r\n");
}

bool is_type(std::string_view value, std::string_view type) {
  if (!iequals(value.substr(0, type.size()), type)) return false;
  const std::string_view rest = value.substr(type.size());
  return rest.empty() || std::string_view("; \t+,").find(rest.front()) != rest.npos;
}

}  // namespace

bool may_be_silent(const Headers& headers) {
  const Field* type = headers.find("Content-Type");
  return type != nullptr &&
         (is_type(type->value, "text/event-stream") || is_type(type->value, "application/grpc"));
}

/// How the body is delimited towards the client (RFC 9112 section 6), and whether the connection
/// can go on.
void AnswerRelay::plan(const BodyFraming& framing) {
  const Response& response = state_.response;
  const bool http11 = terms_.minor_version == 1;
  drop_length_ = terms_.scrub != nullptr && terms_.scrub->reframes();
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
      if (!http11) terms_.keep_alive = false;
      break;
  }
  body_ = BodyReader(framing, ChunkLines::of_origin);
  keep_trailers_ = terms_.te_trailers && chunking_ && framing.kind == BodyFraming::Kind::chunked;
  if (keep_trailers_) body_.keep_trailers();
  upstream_reusable_ = framing.kind != BodyFraming::Kind::until_close &&
                       read_connection(response.headers).persistent(response.minor_version);
  client_reusable_ = terms_.keep_alive;
}

void AnswerRelay::write_head() {
  strip_response(state_.response.headers, keep_trailers_);
  ResponseHeadOptions options;
  options.client_minor = terms_.minor_version;
  options.framing = framing_;
  options.drop_length = drop_length_;
  options.close = !terms_.keep_alive && terms_.minor_version == 1;
  options.keep_alive_10 = terms_.keep_alive && terms_.minor_version == 0;
  write_response_head(state_.response, options, out_);
  reply_.input.consume(reply_.head_size);
}

AnswerRelay::AnswerRelay(Site& site,
                         ClientConnection& client,
                         UpstreamConnection& upstream,
                         RequestState& state,
                         Reply& reply,
                         const BodyFraming& framing,
                         const Terms& terms)
    : site_(site),
      client_(client),
      upstream_(upstream),
      state_(state),
      reply_(reply),
      terms_(terms),
      out_(state.answer_head) {
  plan(framing);
  write_head();
  const bool may_cut = terms_.scrub != nullptr && terms_.scrub->may_cut();
  if (may_cut) withhold_until_ = site_.loop().now() + kWithhold;
}

AnswerRelay::~AnswerRelay() = default;

void AnswerRelay::end_bulk() {
  if (std::exchange(bulk_, false)) upstream_.connection.stream().set_bulk(false);
}

AnswerRelay::Step AnswerRelay::advance(std::size_t& moved) {
  Buffer& input = reply_.input;
  if (!std::exchange(gathered_, true)) {
    const bool good = terms_.scrub == nullptr ? gather() : gather_filtered();
    if (!good) return refused_ ? Step::failed : fail_with("invalid byte in chunk length");
    if (finished() && !std::exchange(told_ready_, true)) return Step::last_bytes_ready;
  }
  const SteadyTime begins = withheld_until();
  if (begins == SteadyTime::max() || site_.loop().now() >= begins) {
    begun_ = true;
    const Step written = write_step(moved);
    if (written != Step::moved) return written;
    if (finished()) return Step::complete;
    if (!input.empty()) {
      gathered_ = false;
      return Step::moved;
    }
  }
  settle_in_bulk();
  const Step read = read_step(moved);
  if (read == Step::moved) gathered_ = false;
  return read;
}

/// Takes what the buffer holds out of its framing. False when the framing is broken.
bool AnswerRelay::gather() {
  Buffer& input = reply_.input;
  const bool rides = chunking_ || (!out_.empty() && input.size() <= kRidingBytes);
  if (!rides && !input.empty() && !body_.done()) {
    const BodyReader::Piece piece = body_.next(input.view());
    straight_ = piece.data;
    straight_consumed_ = piece.consumed;
    bytes_ += piece.data.size();
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
      bytes_ += piece.data.size();
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
  AnswerScrub& scrub = *terms_.scrub;
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
    bytes_ += filtered_.size();
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
    const Result<bool> taken = terms_.scrub->body(piece_->data, filtered_);
    if (taken.has_error()) return refuse(taken.error());
    if (!*taken) continue;
    input.consume(piece_->consumed);
    piece_.reset();
  }
  return true;
}

bool AnswerRelay::refuse(const Error& why) {
  fail_with(why.text);
  refused_ = true;
  return false;
}

/// An answer that may still have to be cut waits to begin. Not a matter of what time it is now:
/// who asks this for how long to sleep must be woken.
SteadyTime AnswerRelay::withheld_until() const {
  const bool waits = !begun_ && !finished() && out_.size() < kFilteredBytes;
  return waits ? withhold_until_ : SteadyTime::max();
}

AnswerRelay::Step AnswerRelay::write_step(std::size_t& moved) {
  while (has_pending()) {
    const bool composed = out_sent_ < out_.size();
    const std::string_view bytes = composed ? std::string_view(out_).substr(out_sent_) : straight_;
    const IoResult result = client_.connection().write(bytes);
    if (result.status == Io::want_write || result.status == Io::want_read) {
      return Step::blocked_client;
    }
    if (result.status != Io::ok) {
      client_lost_ = true;
      return fail_with("write: broken pipe");
    }
    moved += result.size;
    if (!composed) {
      straight_.remove_prefix(result.size);
      continue;
    }
    out_sent_ += result.size;
    if (out_sent_ < out_.size()) continue;
    if (terms_.sensitive) wipe({out_.data(), out_.size()});
    out_.clear();
    out_sent_ = 0;
  }
  reply_.input.consume(std::exchange(straight_consumed_, 0));
  return Step::moved;
}

/// A body that turns out large gets a large block, and record plaintext is wiped at its end only.
void AnswerRelay::settle_in_bulk() {
  Buffer& input = reply_.input;
  if (!bulk_ && bytes_ > kBulkBytes) {
    bulk_ = upstream_.connection.stream().set_bulk(true);
  }
  if (input.empty() && input.capacity() < BufferPool::kLarge && bytes_ >= BufferPool::kSmall) {
    input.release();  // the next read takes a large block
  }
}

AnswerRelay::Step AnswerRelay::fail_with(std::string_view problem) {
  problem_ = problem;
  upstream_reusable_ = client_reusable_ = false;
  if (!begun_) {
    wipe({out_.data(), out_.size()});
    out_.clear();
    out_sent_ = 0;
    return Step::failed;
  }
  // What the client has must not look whole where only the end of the connection says so.
  if (framing_ == ClientFraming::close) client_.stream().reset_on_close();
  client_.stream().abandon();
  return Step::failed;
}

void AnswerRelay::cut(std::string_view problem) { fail_with(problem); }

/// Gathers what the upstream has sent: several records leave in one write.
AnswerRelay::Step AnswerRelay::read_step(std::size_t& moved) {
  Buffer& input = reply_.input;
  if (!upstream_.connection.maybe_readable()) {
    if (input.held() && input.empty()) input.release();  // the wait may be long
    upstream_.connection.arm_read();
    return Step::blocked_upstream;
  }
  if (!input.held()) {
    input = site_.buffers().take(bytes_ >= BufferPool::kSmall ? BufferPool::kLarge
                                                              : BufferPool::kSmall);
    if (terms_.sensitive) input.set_sensitive();
  }
  input.compact();
  const std::size_t before = input.size();
  while (!input.space().empty()) {
    const IoResult got = upstream_.connection.read(input.space());
    if (got.status == Io::ok) {
      input.fill(got.size);
      continue;
    }
    if (input.size() > before) break;  // an end is seen again at the next read
    if (got.status == Io::eof && body_.finish_at_eof()) return Step::moved;
    if (got.status == Io::eof) return fail_with("unexpected EOF");
    if (got.status == Io::error) {
      const std::optional<int> alert = upstream_.connection.stream().alert();
      return fail_with(alert ? tls::remote_alert_text(*alert) : "read: connection reset by peer");
    }
    break;
  }
  moved += input.size() - before;
  return input.size() > before ? Step::moved : Step::blocked_upstream;
}

}  // namespace iron::proxy
