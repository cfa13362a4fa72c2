#include "proxy/http1/http1_body.h"

namespace iron::proxy {
namespace {
constexpr std::uint64_t kBulkBytes = 256 * 1024;
}  // namespace

BodySource::Step Http1Body::read(std::string_view& bytes) {
  Buffer& input = client_.input();
  while (piece_.empty()) {
    if (reader_.done()) return Step::ended;
    if (input.empty()) {
      const Step filled = fill();
      if (filled != Step::bytes) return filled;
    }
    const BodyReader::Piece piece = reader_.next(input.view());
    if (piece.fault) return Step::broken;
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
  if (piece_.empty()) client_.input().consume(std::exchange(raw_, 0));
}

BodySource::Ahead Http1Body::look_ahead() const {
  switch (reader_.look_ahead(client_.input().view().substr(raw_))) {
    case BodyReader::Ahead::open:
      return Ahead::open;
    case BodyReader::Ahead::complete:
      return Ahead::complete;
    case BodyReader::Ahead::broken:
      break;
  }
  return Ahead::broken;
}

/// Gathers what the client has sent so far.
BodySource::Step Http1Body::fill() {
  Buffer& input = client_.input();
  if (!bulk_ && (reader_.remaining() > kBulkBytes || size_ > kBulkBytes)) {
    bulk_ = client_.stream().set_bulk(true);
  }
  const std::size_t wanted =
      reader_.remaining() > BufferPool::kSmall ? BufferPool::kLarge : BufferPool::kSmall;
  if (!input.held() || input.capacity() < wanted) client_.take_input(wanted);
  Step step = Step::blocked;
  while (!input.space().empty()) {
    const IoResult result = client_.connection().read(input.space());
    if (result.status == Io::ok) {
      input.fill(result.size);
      arrived_ += result.size;
      continue;
    }
    if (result.status == Io::eof || result.status == Io::error) step = Step::lost;
    break;
  }
  return input.empty() ? step : Step::bytes;
}

void Http1Body::end_bulk() {
  if (std::exchange(bulk_, false)) client_.stream().set_bulk(false);
}

}  // namespace iron::proxy
