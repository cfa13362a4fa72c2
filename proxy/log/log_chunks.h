#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>

namespace iron::proxy {

/// Many lines in one piece of memory.
struct LogChunk {
  std::string bytes;
  bool masked = false;  ///< no key is in it any more
};
/// Lists, because handing one over takes no memory and cannot fail.
using LogChunkList = std::list<LogChunk>;

/// The memory of lines that wait for a writer: chunks, which are used again.
class LogChunks {
 public:
  static constexpr std::size_t kBytes = 64 * 1024;  ///< of a chunk, unless one line is longer
  static constexpr std::size_t kMostSpare = 16;

  /// Puts `line` behind those in `pending`. Throws std::bad_alloc; then no line has changed.
  void append(LogChunkList& pending, std::string_view line);
  /// Takes chunks that were written, up to a bound and none that became large.
  void give_back(LogChunkList& spent) noexcept;
  std::size_t spare() const { return spare_.size(); }

 private:
  LogChunkList spare_;
};

}  // namespace iron::proxy
