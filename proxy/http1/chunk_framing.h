#pragma once

#include <charconv>
#include <cstddef>
#include <string_view>

namespace iron::proxy {

/// What is written around the bytes of a chunk (RFC 9112 section 7.1).
inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kChunkEndAndLastChunk = "\r\n0\r\n\r\n";
/// No less than all of it takes for one chunk, the last one behind it included.
inline constexpr std::size_t kChunkFraming = 32;

/// The line in front of a chunk.
class ChunkSize {
 public:
  explicit ChunkSize(std::size_t size) {
    char* const end = std::to_chars(text_, text_ + 16, size, 16).ptr;
    end[0] = '\r';
    end[1] = '\n';
    length_ = static_cast<std::size_t>(end - text_) + 2;
  }
  std::string_view line() const { return {text_, length_}; }

 private:
  char text_[18];
  std::size_t length_;
};

}  // namespace iron::proxy
