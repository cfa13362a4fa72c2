#include "proxy/http1/http1_body.h"

#include <optional>

#include "tls/error_text.h"

namespace iron::proxy {
namespace {
/// Above this, record plaintext is no longer wiped one by one: the wipe costs 6 to 10 % of a bulk
/// transfer, and each record overwrites the last. The block itself is wiped when it goes back.
constexpr std::uint64_t kBulkBytes = 256 * 1024;
}  // namespace

BodySource::Step Http1Body::read(std::string_view& bytes, From from) {
  Buffer& input = place_.input;
  while (piece_.empty()) {
    if (reader_.done()) return Step::ended;
    if (input.empty()) {
      const Step filled = from == From::peer ? fill() : Step::blocked;
      if (filled != Step::bytes) return filled;
    }
    const BodyReader::Piece piece = reader_.next(input.view());
    if (piece.fault) {
      problem_ = "invalid byte in chunk length";
      return Step::broken;
    }
    piece_ = piece.data;
    raw_ = piece.consumed;
    size_ += piece.data.size();
    if (piece_.empty()) input.consume(std::exchange(raw_, 0));
  }
  bytes = piece_;
  return Step::bytes;
}

void Http1Body::consume(std::size_t count) {
  piece_.remove_prefix(count);
  if (piece_.empty()) place_.input.consume(std::exchange(raw_, 0));
}

/// Gathers what the peer has sent so far: several records are passed on at once.
BodySource::Step Http1Body::fill() {
  Buffer& input = place_.input;
  if (!place_.connection.maybe_readable()) {
    input.release();  // the wait may be long
    place_.connection.arm_read();
    return Step::blocked;
  }
  if (!bulk_ && (reader_.remaining() > kBulkBytes || size_ > kBulkBytes)) {
    bulk_ = place_.connection.stream().set_bulk(true);
  }
  const bool large = reader_.remaining() > BufferPool::kSmall || size_ >= BufferPool::kSmall;
  const std::size_t wanted = large ? BufferPool::kLarge : BufferPool::kSmall;
  if (!input.held() || input.capacity() < wanted) input = place_.buffers.take(wanted);
  if (place_.sensitive) input.set_sensitive();
  IoResult result;
  while (!input.space().empty()) {
    result = place_.connection.read(input.space());
    if (result.status != Io::ok) break;
    input.fill(result.size);
    arrived_ += result.size;
  }
  return input.empty() ? take_in(result) : Step::bytes;
}

/// What came instead of bytes; an end behind bytes is seen again at the next read.
BodySource::Step Http1Body::take_in(const IoResult& result) {
  if (result.status == Io::eof) {
    if (reader_.finish_at_eof()) return Step::ended;
    problem_ = "unexpected EOF";
    return Step::lost;
  }
  if (result.status != Io::error) return Step::blocked;
  const std::optional<int> alert = place_.connection.stream().alert();
  problem_ = alert ? tls::remote_alert_text(*alert) : "read: connection reset by peer";
  return Step::lost;
}

void Http1Body::end_bulk() {
  if (std::exchange(bulk_, false)) place_.connection.stream().set_bulk(false);
}

}  // namespace iron::proxy
