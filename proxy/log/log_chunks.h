#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace iron::proxy {

/// The memory of lines that wait for a writer: chunks of many lines, which are used again.
class LogChunks {
 public:
  static constexpr std::size_t kBytes = 64 * 1024;  ///< of a chunk, unless one line is longer
  static constexpr std::size_t kMostSpare = 16;

  LogChunks() { spare_.reserve(kMostSpare); }
  /// Puts `line` behind those in `pending`. Throws std::bad_alloc; then no line has changed.
  void append(std::deque<std::string>& pending, std::string_view line);
  /// Takes chunks that were written, up to a bound and none that became large. Never allocates.
  void give_back(std::vector<std::string>& spent) noexcept;
  std::size_t spare() const { return spare_.size(); }

 private:
  std::vector<std::string> spare_;
};

}  // namespace iron::proxy
