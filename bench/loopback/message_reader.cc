#include "bench/loopback/message_reader.h"

#include <strings.h>

#include <algorithm>
#include <cstdlib>

namespace iron::bench {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::size_t kStatusAt = 9;  // behind "HTTP/1.1 "

bool same(std::string_view left, std::string_view right) {
  return left.size() == right.size() && ::strncasecmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace

void MessageReader::reset() {
  state_ = State::head;
  head_.clear();
  line_.clear();
  left_ = body_bytes_ = 0;
  status_ = 0;
  closes_ = false;
}

std::string_view MessageReader::field(std::string_view name) const {
  const std::string_view head = head_;
  std::size_t line = head.find("\r\n");
  while (line != std::string_view::npos) {
    line += 2;
    const std::size_t end = head.find("\r\n", line);
    if (end == std::string_view::npos || end == line) break;
    const std::string_view text = head.substr(line, end - line);
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos && same(text.substr(0, colon), name)) {
      std::string_view value = text.substr(colon + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      return value;
    }
    line = end;
  }
  return {};
}

void MessageReader::head_complete() {
  if (kind_ == Kind::response) status_ = std::atoi(head_.c_str() + kStatusAt);
  closes_ = same(field("Connection"), "close");
  if (same(field("Transfer-Encoding"), "chunked")) {
    state_ = State::chunk_size;
    return;
  }
  const std::string length(field("Content-Length"));
  left_ = std::strtoull(length.c_str(), nullptr, 10);
  state_ = left_ > 0 ? State::body : State::complete;
  if (kind_ == Kind::response && length.empty()) state_ = State::until_close;
}

std::size_t MessageReader::take_head(std::string_view bytes) {
  const std::size_t before = head_.size();
  head_.append(bytes);
  const std::size_t end = head_.find(kHeadEnd, before < 3 ? 0 : before - 3);
  if (end == std::string::npos) return bytes.size();
  head_.resize(end + kHeadEnd.size());
  head_complete();
  return head_.size() - before;
}

std::size_t MessageReader::take_body(std::string_view bytes,
                                     const std::function<void(std::string_view)>& body) {
  if (state_ != State::until_close) bytes = bytes.substr(0, left_);
  body(bytes);
  body_bytes_ += bytes.size();
  if (state_ == State::until_close) return bytes.size();
  left_ -= bytes.size();
  if (left_ == 0) state_ = state_ == State::body ? State::complete : State::chunk_end;
  return bytes.size();
}

void MessageReader::take_framing(char byte) {
  if (byte != '\n') {
    if (byte != '\r') line_.push_back(byte);
    return;
  }
  if (state_ == State::chunk_end) {
    state_ = State::chunk_size;
  } else if (state_ == State::trailer) {
    if (line_.empty()) state_ = State::complete;
  } else {
    left_ = std::strtoull(line_.c_str(), nullptr, 16);
    state_ = left_ > 0 ? State::chunk : State::trailer;
  }
  line_.clear();
}

std::size_t MessageReader::feed(std::string_view bytes,
                                const std::function<void(std::string_view)>& body) {
  std::size_t used = 0;
  while (used < bytes.size() && state_ != State::complete) {
    switch (state_) {
      case State::head:
        used += take_head(bytes.substr(used));
        break;
      case State::body:
      case State::chunk:
      case State::until_close:
        used += take_body(bytes.substr(used), body);
        break;
      default:
        take_framing(bytes[used++]);
    }
  }
  return used;
}

}  // namespace iron::bench
