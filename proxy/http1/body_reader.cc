#include "proxy/http1/body_reader.h"

#include <algorithm>

#include "policy/hex.h"
#include "policy/secret/secret.h"
#include "proxy/http/field_text.h"

namespace iron::proxy {
namespace {
constexpr std::uint32_t kExtensionLine = 4096, kExtensionTotal = 65536, kTrailerBytes = 16384;

bool is_text(std::string_view line) {
  return std::all_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}
}  // namespace

BodyReader::BodyReader(const BodyFraming& framing, ChunkLines lines)
    : lines_(lines), extension_(lines) {
  switch (framing.kind) {
    case BodyFraming::Kind::none:
      break;
    case BodyFraming::Kind::length:
      remaining_ = framing.length;
      state_ = remaining_ > 0 ? State::data : State::done;
      break;
    case BodyFraming::Kind::chunked:
      chunked_ = true;
      state_ = State::size_start;
      break;
    case BodyFraming::Kind::until_close:
      state_ = State::until_close;
      break;
  }
}

BodyReader::~BodyReader() {
  if (line_.capacity() < kTrailerBytes) return;
  for (std::string* text : {&line_, &trailers_}) {
    text->resize(text->capacity());
    wipe({text->data(), text->size()});
  }
}

BodyReader::Ahead BodyReader::look_ahead(std::string_view input) const {
  if (!chunked_) {
    const bool complete =
        state_ == State::done || (state_ == State::data && remaining_ <= input.size());
    return complete ? Ahead::complete : Ahead::open;
  }
  BodyReader ahead = *this;
  while (!ahead.done()) {
    const Piece piece = ahead.next(input);
    if (piece.fault) return Ahead::broken;
    if (piece.consumed == 0) return Ahead::open;
    input.remove_prefix(piece.consumed);
  }
  return Ahead::complete;
}

bool BodyReader::finish_at_eof() {
  if (state_ == State::until_close) state_ = State::done;
  return state_ == State::done;
}

BodyReader::Piece BodyReader::next(std::string_view input) {
  if (input.empty() || state_ == State::done) return {};
  if (state_ == State::until_close) return {input.size(), input, false};
  if (state_ == State::data) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size()));
    remaining_ -= count;
    if (remaining_ == 0) state_ = chunked_ ? State::data_end_cr : State::done;
    return {count, input.substr(0, count), false};
  }
  std::size_t used = 0;
  while (used < input.size() && state_ != State::data && state_ != State::done) {
    if (state_ == State::trailer) {
      const Piece step = trailer_line(input.substr(used));
      if (step.fault) return broken_at(used);
      used += step.consumed;
    } else if (chunk_byte(input[used])) {
      ++used;
    } else {
      return broken_at(used);
    }
  }
  if (state_ == State::data && used < input.size()) {
    Piece piece = next(input.substr(used));
    piece.consumed += used;
    return piece;
  }
  return {used, {}, false};
}

/// For good: what follows a fault must not be read as if it were not there.
BodyReader::Piece BodyReader::broken_at(std::size_t used) {
  state_ = State::broken;
  return {used, {}, true};
}

bool BodyReader::chunk_byte(char c) {
  switch (state_) {
    case State::size_start:
      remaining_ = 0;
      digits_ = 0;
      extension_line_ = 0;
      state_ = State::size;
      [[fallthrough]];
    case State::size: {
      const int digit = policy::hex_value(c);
      if (digit >= 0) {
        if (++digits_ > 16 || (remaining_ >> 59) != 0) return false;
        remaining_ = remaining_ << 4 | static_cast<std::uint64_t>(digit);
        return true;
      }
      if (digits_ == 0) return false;
      if (c == '\r') {
        state_ = State::size_lf;
        return true;
      }
      extension_.begin();
      state_ = State::extension;
      [[fallthrough]];
    }
    case State::extension:
      if (c == '\r') {
        if (!extension_.may_end()) return false;
        state_ = State::size_lf;
        return true;
      }
      if (++extension_line_ > kExtensionLine || ++extension_total_ > kExtensionTotal) return false;
      return extension_.take(c);
    case State::size_lf:
      if (c != '\n') return false;
      state_ = remaining_ > 0 ? State::data : State::trailer;
      line_.clear();
      line_cr_ = false;
      return true;
    case State::data_end_cr:
      if (c != '\r') return false;
      state_ = State::data_end_lf;
      return true;
    case State::data_end_lf:
      if (c != '\n') return false;
      state_ = State::size_start;
      return true;
    default:
      return false;
  }
}

/// Judges the line that has come, and keeps it if it is asked for.
bool BodyReader::trailer_ended() {
  const std::string_view line = line_;
  const std::size_t colon = line.find(':');
  if (colon == line.npos || !is_text(line)) return false;
  const std::string_view name = lines_ == ChunkLines::of_origin
                                    ? answer_field_name(line.substr(0, colon))
                                    : line.substr(0, colon);
  if (!is_token(name)) return false;
  if (keep_trailers_) {
    if (trailers_.capacity() < kTrailerBytes) trailers_.reserve(2 * kTrailerBytes);
    trailers_.append(name).append(line.substr(colon)).append("\r\n");
  }
  line_.clear();
  return true;
}

BodyReader::Piece BodyReader::trailer_line(std::string_view input) {
  const char c = input.front();
  const Piece one{1, {}, false}, bad{0, {}, true};
  if (line_cr_) {
    if (c != '\n') return bad;
    line_cr_ = false;
    if (line_.empty()) {
      state_ = State::done;
      return one;
    }
    return trailer_ended() ? one : bad;
  }
  if (c == '\n' || ++trailer_bytes_ > kTrailerBytes) return bad;
  if (c == '\r') {
    line_cr_ = true;
  } else {
    // A block of its final size: no copy is left behind where the text grows.
    if (line_.capacity() < kTrailerBytes) line_.reserve(kTrailerBytes);
    line_.push_back(c);
  }
  return one;
}

}  // namespace iron::proxy
