#include "transforms/auth/aws_chunks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "policy/hex.h"
#include "policy/http_message.h"
#include "transforms/auth/digest.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kExtension = ";chunk-signature=";
constexpr std::string_view kTrailerSignature = "x-amz-trailer-signature";
constexpr std::size_t kDigits = sizeof(HexDigest);
constexpr std::size_t kLongestSize = 8;  // digits
constexpr std::size_t kLongestLine = kLongestSize + kExtension.size() + kDigits + 2;
constexpr std::size_t kLongestTrailers = 16384;
constexpr std::string_view kNoBytes =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

bool is_signature(std::string_view text) {
  return text.size() == kDigits &&
         std::ranges::all_of(text, [](char c) { return policy::hex_value(c) >= 0; });
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

/// The trailers of a body: what is signed of them, and where the signature stands.
struct TrailerText {
  std::string canonical;
  std::size_t signature = 0;
};

/// Lines `name:value` that end in CRLF, or in LF where writers end the signed lines like their
/// canonical form; the signature is the last of them. Nothing if the text is anything else.
std::optional<TrailerText> read_trailers(std::string_view text) {
  TrailerText out;
  std::size_t at = 0;
  bool ended = false;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    if (end == text.npos) return std::nullopt;
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t from = std::exchange(at, end + 1);
    // One empty line may stand in front of the signature, one ends the body.
    if (line.empty() && out.signature > 0 && !std::exchange(ended, true)) continue;
    if (line.empty() && out.signature == 0 && !out.canonical.empty() &&
        iequals(text.substr(at, kTrailerSignature.size()), kTrailerSignature)) {
      continue;
    }
    if (line.empty() || out.signature > 0 || line.find('\r') != line.npos) return std::nullopt;
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(std::min(line.size(), colon + 1)));
    if (!is_name(name) || colon == line.size()) return std::nullopt;
    if (iequals(name, kTrailerSignature)) {
      if (!is_signature(value)) return std::nullopt;
      out.signature = from + static_cast<std::size_t>(value.data() - line.data());
      continue;
    }
    for (const char c : name) out.canonical += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
    out.canonical.append(":").append(value).append("\n");
  }
  return out.signature > 0 && ended ? std::optional(out) : std::nullopt;
}

}  // namespace

AwsChunkSigner::AwsChunkSigner(const AwsSignature& seed, Trailers trailers)
    : seed_(seed), trailers_(trailers), previous_(Secret::copy_of(seed.signature.reveal())) {}

Error AwsChunkSigner::broken(std::string_view why) {
  state_ = State::failed;
  line_.clear();
  data_.clear();
  if (why == "body_truncated") return fail(std::string(why), Fault::body_too_large);
  return fail("aws-chunked body: " + std::string(why), Fault::bad_request);
}

Result<void> AwsChunkSigner::feed(std::string_view in, std::string& out) {
  while (!in.empty()) {
    Result<void> taken;
    switch (state_) {
      case State::line:
        taken = take_line(in, out);
        break;
      case State::data:
      case State::data_end:
        taken = take_data(in, out);
        break;
      case State::trailers:
        taken = take_trailers(in);
        break;
      case State::done:
        return broken("bytes behind its end");
      case State::failed:
        return broken("it was broken before");
    }
    if (!taken) return taken;
  }
  return {};
}

Result<void> AwsChunkSigner::end(std::string& out) {
  if (state_ == State::trailers) {
    const auto trailers = read_trailers(line_);
    if (!trailers) return broken("trailers without a signature at their end");
    Sha256 hash;
    hash.feed(trailers->canonical);
    HexDigest digest{};
    if (!hash.finish(digest)) return broken("hashing failed");
    std::string words = "AWS4-HMAC-SHA256-TRAILER\n";
    words.append(seed_.date).append("\n").append(seed_.scope).append("\n");
    words.append(previous_.reveal()).append("\n").append(view(digest));
    if (const auto signature = sign(words); !signature) return signature;
    std::ranges::copy(previous_.reveal(), line_.begin() + trailers->signature);
    out += line_;
    state_ = State::done;
  }
  if (state_ == State::failed) return broken("it was broken before");
  return state_ == State::done ? Result<void>() : broken("it ends in the middle");
}

Result<void> AwsChunkSigner::take_line(std::string_view& in, std::string& out) {
  while (!in.empty()) {
    line_ += in.front();
    in.remove_prefix(1);
    if (line_.size() > kLongestLine) return broken("a chunk's line is too long");
    if (line_.back() != '\n') continue;
    if (!line_.ends_with("\r\n")) return broken("a line does not end in CRLF");
    if (const auto read = read_line(); !read) return read;
    if (size_ > 0) {
      state_ = State::data;
      return {};
    }
    if (trailers_ == Trailers::none) {
      state_ = State::data_end;
      return {};
    }
    return give_chunk(out);
  }
  return {};
}

Result<void> AwsChunkSigner::read_line() {
  const std::size_t digits = std::min(line_.find(';'), line_.size());
  const std::string_view behind = std::string_view(line_).substr(digits);
  if (digits == 0 || digits > kLongestSize || !behind.starts_with(kExtension) ||
      !is_signature(behind.substr(kExtension.size(), behind.size() - kExtension.size() - 2))) {
    return broken("a chunk's line is not \"size;chunk-signature=64 digits\"");
  }
  size_ = 0;
  for (const char c : std::string_view(line_).substr(0, digits)) {
    const int value = policy::hex_value(c);
    if (value < 0) return broken("a chunk's size is not a number");
    size_ = size_ << 4 | static_cast<std::size_t>(value);
  }
  if (size_ > kLargestAwsChunk) return broken("body_truncated");
  return {};
}

Result<void> AwsChunkSigner::take_data(std::string_view& in, std::string& out) {
  if (state_ == State::data) {
    const std::string_view part = in.substr(0, size_ - data_.size());
    data_ += part;
    in.remove_prefix(part.size());
    if (data_.size() == size_) state_ = State::data_end;
  }
  while (state_ == State::data_end && !in.empty()) {
    data_ += in.front();
    in.remove_prefix(1);
    if (data_.back() != (data_.size() == size_ + 1 ? '\r' : '\n'))
      return broken("a chunk does not end in CRLF");
    if (data_.size() == size_ + 2) return give_chunk(out);
  }
  return {};
}

Result<void> AwsChunkSigner::take_trailers(std::string_view& in) {
  if (line_.size() + in.size() > kLongestTrailers) return broken("trailers are too long");
  line_ += in;
  in = {};
  return {};
}

Result<void> AwsChunkSigner::give_chunk(std::string& out) {
  Sha256 hash;
  hash.feed(std::string_view(data_).substr(0, size_));
  HexDigest digest{};
  if (!hash.finish(digest)) return broken("hashing failed");
  std::string words = "AWS4-HMAC-SHA256-PAYLOAD\n";
  words.append(seed_.date).append("\n").append(seed_.scope).append("\n");
  words.append(previous_.reveal()).append("\n").append(kNoBytes).append("\n").append(view(digest));
  if (const auto signature = sign(words); !signature) return signature;
  out.append(line_, 0, line_.size() - kDigits - 2).append(previous_.reveal()).append("\r\n");
  out += data_;
  decoded_ += size_;
  line_.clear();
  data_.clear();
  const State behind_last = trailers_ == Trailers::none ? State::done : State::trailers;
  state_ = size_ > 0 ? State::line : behind_last;
  return {};
}

Result<void> AwsChunkSigner::sign(std::string_view words) {
  auto signature = aws_signature_of(seed_.signing_key, words);
  if (!signature) return broken("signing failed");
  previous_ = std::move(*signature);
  return {};
}

}  // namespace iron::transforms
