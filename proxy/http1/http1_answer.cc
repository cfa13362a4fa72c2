#include "proxy/http1/http1_answer.h"

#include "policy/secret/secret.h"
#include "proxy/http/header_rules.h"
#include "proxy/http1/chunk_framing.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {
namespace {

/// Body bytes that ride in the head's write; more than that goes straight from where it lies.
constexpr std::size_t kRidingBytes = BufferPool::kSmall;

}  // namespace

void Http1Answer::plan(const Response& response, const BodyFraming& framing, bool reframes) {
  const bool http11 = terms_.minor_version == 1;
  drop_length_ = reframes;
  switch (reframes ? BodyFraming::Kind::until_close : framing.kind) {
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
  keep_trailers_ = terms_.te_trailers && chunking_ && framing.kind == BodyFraming::Kind::chunked;
}

void Http1Answer::begin(Response& response, const BodyFraming& framing, bool reframes) {
  plan(response, framing, reframes);
  strip_response(response.headers, keep_trailers_);
  ResponseHeadOptions options;
  options.client_minor = terms_.minor_version;
  options.framing = framing_;
  options.drop_length = drop_length_;
  options.close = !terms_.keep_alive && terms_.minor_version == 1;
  options.keep_alive_10 = terms_.keep_alive && terms_.minor_version == 0;
  write_response_head(response, options, out_);
}

BodySink::Taken Http1Answer::take(std::string_view bytes) {
  const bool rides = chunking_ || (!out_.empty() && bytes.size() <= kRidingBytes);
  if (rides) {
    copy(bytes);
    return Taken::copied;
  }
  straight_ = bytes;
  return Taken::held;
}

void Http1Answer::copy(std::string_view bytes) {
  make_room(out_, bytes.size() + kChunkFraming);
  if (chunking_) out_.append(ChunkSize(bytes.size()).line());
  out_.append(bytes);
  if (chunking_) out_.append(kChunkEnd);
}

void Http1Answer::end(std::string_view trailers) {
  if (!chunking_) return;
  make_room(out_, trailers.size() + kChunkFraming);
  out_.append("0\r\n").append(trailers).append("\r\n");
}

BodySink::Step Http1Answer::write(std::size_t& moved) {
  while (has_pending()) {
    const bool composed = sent_ < out_.size();
    const std::string_view bytes = composed ? std::string_view(out_).substr(sent_) : straight_;
    const IoResult result = client_.write(bytes);
    if (result.status == Io::want_write || result.status == Io::want_read) return Step::blocked;
    if (result.status != Io::ok) return Step::lost;
    moved += result.size;
    if (!composed) {
      straight_.remove_prefix(result.size);
      continue;
    }
    sent_ += result.size;
    if (sent_ == out_.size()) forget_composed();
  }
  return Step::written;
}

void Http1Answer::forget_composed() {
  if (terms_.sensitive) wipe({out_.data(), out_.size()});
  out_.clear();
  sent_ = 0;
}

void Http1Answer::forget() {
  wipe({out_.data(), out_.size()});
  out_.clear();
  sent_ = 0;
  straight_ = {};
}

void Http1Answer::cut() {
  // What the client has must not look whole where only the end of the connection says so.
  if (framing_ == ClientFraming::close) client_.stream().reset_on_close();
  client_.stream().abandon();
}

}  // namespace iron::proxy
