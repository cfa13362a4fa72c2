#include "proxy/http1/http1_request.h"

#include <cstring>
#include <utility>

#include "proxy/http1/chunk_framing.h"
#include "proxy/http1/head_writer.h"

namespace iron::proxy {
namespace {
/// Body bytes that ride in the head's write: a TLS record.
constexpr std::size_t kRidingBytes = 16 * 1024;
}  // namespace

bool Http1Request::begin(const OutgoingHead& head) {
  UpstreamFraming framing;
  if (head.length) framing = {UpstreamFraming::Kind::length, *head.length};
  chunking_ = !head.length && head.framing == BodyFraming::Kind::chunked;
  head_ = pages_.take(request_head_bound(head.exchange, head.host, head.parent));
  const WrittenHead written =
      write_request_head(head.exchange, head.host, framing, head_->data(), head.parent);
  head_used_ = static_cast<std::size_t>(written.end - head_->data());
  return written.connection_login;
}

/// Nothing may be behind the head yet that leaves after it.
bool Http1Request::fits_behind_head(std::size_t size) const {
  return head_ != nullptr && block_.empty() && size <= kRidingBytes &&
         head_used_ + size + kChunkFraming <= head_->size();
}

bool Http1Request::fits_in_block(std::size_t size) {
  if (!block_.held()) block_ = buffers_.take(BufferPool::kLarge);
  return size + kChunkFraming <= block_.space().size();
}

void Http1Request::append(std::string_view text) {
  if (fits_behind_head(text.size())) {
    std::memcpy(head_->data() + head_used_, text.data(), text.size());
    head_used_ += text.size();
    return;
  }
  if (!block_.held()) block_ = buffers_.take(BufferPool::kLarge);
  if (block_.space().size() < text.size()) block_.grow(block_.size() + text.size());
  block_.append(text);
}

BodySink::Taken Http1Request::take(std::string_view bytes) {
  const bool rides = fits_behind_head(bytes.size());
  if (!chunking_ && !rides) {
    straight_ = bytes;
    return Taken::held;
  }
  if (rides || fits_in_block(bytes.size())) {
    copy(bytes);
    return Taken::copied;
  }
  append(ChunkSize(bytes.size()).line());
  straight_ = bytes;
  tail_ = kChunkEnd;
  return Taken::held;
}

void Http1Request::copy(std::string_view bytes) {
  if (chunking_) append(ChunkSize(bytes.size()).line());
  append(bytes);
  if (chunking_) append(kChunkEnd);
}

void Http1Request::end(std::string_view) {
  ended_ = true;
  if (!chunking_) return;
  if (straight_.empty()) {
    append(kLastChunk);
  } else {
    tail_ = kChunkEndAndLastChunk;
  }
}

bool Http1Request::has_pending() const {
  return head_ != nullptr || !block_.empty() || !straight_.empty() || !tail_.empty();
}

BodySink::Step Http1Request::write_all(std::string_view& bytes, std::size_t& moved) {
  while (!bytes.empty()) {
    const IoResult result = upstream_.write(bytes);
    if (result.status == Io::want_write || result.status == Io::want_read) return Step::blocked;
    if (result.status != Io::ok) return Step::lost;
    moved += result.size;
    bytes.remove_prefix(result.size);
  }
  return Step::written;
}

BodySink::Step Http1Request::write(std::size_t& moved) {
  if (head_ != nullptr) {
    std::string_view left(head_->data() + head_sent_, head_used_ - head_sent_);
    const Step step = write_all(left, moved);
    head_sent_ = head_used_ - left.size();
    if (step != Step::written) return step;
    give_head_back();
  }
  if (block_.held()) {
    std::string_view left = block_.view();
    const Step step = write_all(left, moved);
    block_.consume(block_.size() - left.size());
    if (step != Step::written) return step;
    block_.release();
  }
  Step step = write_all(straight_, moved);
  if (step == Step::written) step = write_all(tail_, moved);
  return step;
}

void Http1Request::give_head_back() {
  pages_.give_back(std::move(head_), head_used_);
  head_used_ = head_sent_ = 0;
}

void Http1Request::forget() {
  if (has_pending()) ended_ = false;
  if (head_ != nullptr) give_head_back();
  block_.release();
  straight_ = tail_ = {};
}

}  // namespace iron::proxy
