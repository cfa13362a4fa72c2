#include "proxy/exchange/upload.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "proxy/exchange/site.h"

namespace iron::proxy {
namespace {
constexpr std::size_t kChunkOverhead = 32;
constexpr std::size_t kRidingBytes = 16 * 1024;  // a TLS record
constexpr std::size_t kStretchBytes = 4 * 1024;
constexpr std::string_view kLastChunk = "0\r\n\r\n";

Upload::Step step_of(BodySource::Step step) {
  switch (step) {
    case BodySource::Step::lost:
      return Upload::Step::client_gone;
    case BodySource::Step::broken:
      return Upload::Step::client_fault;
    case BodySource::Step::ended:
      return Upload::Step::finished;
    default:
      return Upload::Step::blocked_client;
  }
}

}  // namespace

Upload::Upload(Site& site, BodySource& body) : site_(site), body_(body) {}

Upload::~Upload() { release(); }

void Upload::release() {
  release_scratch();
  chunk_.release();
  body_.end_bulk();
}

void Upload::release_scratch() {
  if (!scratch_) return;
  scratch_->wipe(scratch_used_);
  scratch_used_ = 0;
  site_.return_scratch(std::move(scratch_));
}

char* Upload::head_space(std::size_t bound) {
  scratch_ = site_.take_scratch();
  if (scratch_->size() < bound) scratch_ = std::make_unique<SecretBuffer>(bound);
  return scratch_->data();
}

void Upload::head_written(char* end) {
  scratch_used_ = static_cast<std::size_t>(end - scratch_->data());
  pending_ = {scratch_->data(), scratch_used_};
}

void Upload::set_loaded_body(const transforms::BodyView& body) {
  loaded_ = &body;
  // A small body leaves in the head's record.
  if (transforms::body_size(body) <= std::min(kRidingBytes, scratch_->size() - scratch_used_)) {
    compose(kRidingBytes);
  }
}

void Upload::compose(std::size_t most) {
  const std::size_t room = std::min(most, scratch_->size() - scratch_used_);
  scratch_used_ +=
      transforms::write_body(*loaded_, cursor_, scratch_->data() + scratch_used_, room);
  pending_ = {scratch_->data(), scratch_used_};
}

/// Long stretches of what the client sent leave from where they lie. Swapped values are composed in
/// secret memory together with what is near them: a megabyte of tokens was 131,072 writes.
bool Upload::next_loaded() {
  pending_ = transforms::take_unchanged(*loaded_, cursor_, kStretchBytes);
  if (pending_.empty()) compose(kRidingBytes);
  return !pending_.empty();
}

void Upload::set_streaming(bool chunked) {
  streaming_ = true;
  chunked_ = chunked;
}

void Upload::sent() {
  if (!scratch_ || loaded_ == nullptr) {
    // The wait for the answer may be long, and secret memory is scarce.
    release_scratch();
  } else {
    scratch_->wipe(scratch_used_);
    scratch_used_ = 0;
  }
  if (body_pending_ > 0) body_.consume(std::exchange(body_pending_, 0));
  chunk_.clear();
}

void Upload::stop() {
  pending_ = {};
  if (std::exchange(body_pending_, 0) > 0) body_.drop();
  release();
}

Upload::Step Upload::advance(Connection& upstream, const Turn& turn, std::size_t& moved) {
  Turn left = turn;
  while (true) {
    const std::size_t before = moved;
    while (!pending_.empty()) {
      const IoResult result = upstream.write(pending_);
      if (result.status == Io::want_read || result.status == Io::want_write) {
        return Step::blocked_upstream;
      }
      if (result.status != Io::ok) return Step::upstream_failed;
      pending_.remove_prefix(result.size);
      moved += result.size;
    }
    sent();
    if (finished_) return Step::finished;
    Step step = Step::finished;
    if (!next_piece(step, moved)) {
      finished_ = step == Step::finished;
      if (finished_) release_scratch();
      return step;
    }
    left.moved(moved - before);
    if (left.over()) return Step::turn_over;
  }
}

bool Upload::next_piece(Step& step, std::size_t& moved) {
  if (loaded_ != nullptr) return next_loaded();
  if (!streaming_) return false;
  return chunked_ ? next_chunk(step, moved) : next_streamed(step, moved);
}

bool Upload::next_streamed(Step& step, std::size_t& moved) {
  if (!prefix_.empty()) {
    pending_ = std::exchange(prefix_, {});
    return true;
  }
  const BodySource::Step read = body_.read(pending_);
  moved += body_.take_arrived();
  step = step_of(read);
  if (read != BodySource::Step::bytes) return false;
  body_pending_ = pending_.size();
  return true;
}

bool Upload::next_chunk(Step& step, std::size_t& moved) {
  step = Step::finished;
  if (last_chunk_written_) return false;
  if (!chunk_.held()) chunk_ = site_.buffers().take(BufferPool::kLarge);
  chunk_.clear();
  // The size is written in front of the data once it is known.
  char* const block = chunk_.space().data();
  constexpr std::size_t kSizeField = 18;
  std::size_t data = 0;
  const std::size_t room = chunk_.capacity() - kSizeField - kChunkOverhead;
  if (!prefix_.empty()) {
    data = std::min(prefix_.size(), room);
    std::memcpy(block + kSizeField, prefix_.data(), data);
    prefix_.remove_prefix(data);
  }
  while (data < room && prefix_.empty() && !body_.done()) {
    std::string_view bytes;
    const BodySource::Step read =
        body_.read(bytes, data > 0 ? BodySource::From::here : BodySource::From::peer);
    moved += body_.take_arrived();
    if (read != BodySource::Step::bytes) {
      step = step_of(read);
      if (step == Step::client_fault) return false;
      break;
    }
    bytes = bytes.substr(0, room - data);
    std::memcpy(block + kSizeField + data, bytes.data(), bytes.size());
    data += bytes.size();
    body_.consume(bytes.size());
  }
  const bool last = body_.done() && prefix_.empty();
  if (data == 0 && !last) {
    if (step == Step::finished) step = Step::blocked_client;
    return false;
  }
  char* begin = block + kSizeField;
  char* end = begin + data;
  if (data > 0) {
    char digits[16];
    const auto size =
        static_cast<std::size_t>(std::to_chars(digits, digits + 16, data, 16).ptr - digits);
    begin -= size + 2;
    std::memcpy(begin, digits, size);
    std::memcpy(begin + size, "\r\n", 2);
    std::memcpy(end, "\r\n", 2);
    end += 2;
  }
  if (last) {
    std::memcpy(end, kLastChunk.data(), kLastChunk.size());
    end += kLastChunk.size();
    last_chunk_written_ = true;
  }
  pending_ = {begin, static_cast<std::size_t>(end - begin)};
  step = Step::finished;
  return true;
}

}  // namespace iron::proxy
