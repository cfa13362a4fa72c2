#include "proxy/calls/answer_text.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "policy/http_message.h"

namespace iron::proxy {

namespace {
/// Bytes that may come for each that is kept: a coding can say nothing at length.
constexpr std::size_t kMostForOne = 4;
}  // namespace

AnswerText::AnswerText(std::string_view coding, std::size_t most) : most_(most) {
  if (iequals(coding, "gzip") || iequals(coding, "x-gzip")) {
    decoder_.emplace(ContentDecoder::Coding::gzip);
  } else {
    known_coding_ = coding.empty() || iequals(coding, "identity");
  }
}

bool AnswerText::append(std::string_view bytes) {
  const std::size_t taken = std::min(bytes.size(), most_ - used_);
  if (used_ + taken > text_.size()) {
    Secret larger = Secret::sized(std::max<std::size_t>({used_ + taken, 2 * text_.size(), 4096}));
    if (used_ > 0) std::memcpy(larger.writable().data(), text_.reveal().data(), used_);
    text_ = std::move(larger);
  }
  if (taken > 0) std::memcpy(text_.writable().data() + used_, bytes.data(), taken);
  used_ += taken;
  cut_ = cut_ || taken < bytes.size();
  return !cut_;
}

Result<bool> AnswerText::add(std::string_view bytes) {
  came_ += bytes.size();
  if (came_ / kMostForOne > most_) return fail("the answer is too long for what it holds");
  if (!known_coding_) return fail("unsupported Content-Encoding of the answer");
  if (!decoder_) return append(bytes);
  while (true) {
    const ContentDecoder::Piece piece = decoder_->next(bytes);
    if (piece.status != ContentDecoder::Status::ok) return fail("gzip: invalid data");
    if (!append(piece.text)) return false;
    if (bytes.empty() && !piece.more) return true;
  }
}

Result<void> AnswerText::end() {
  if (decoder_ && !decoder_->complete()) return fail("unexpected EOF");
  return {};
}

Secret AnswerText::take() {
  text_.shrink(used_);
  return std::move(text_);
}

}  // namespace iron::proxy
