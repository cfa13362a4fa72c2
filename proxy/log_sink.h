#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "transforms/key_net.h"

namespace iron::proxy {

/// One descriptor that log lines leave through, with the lines on their way to it. Never blocks on
/// a pipe, terminal or socket that is not read. A line that was begun is finished before anything
/// else is written, also after a failure in between. Used by the writer thread alone.
class LogSink {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Ownership { borrowed, owned };
  LogSink(int descriptor, Ownership ownership);
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  struct Progress {
    std::size_t settled = 0;      ///< bytes written or given up
    std::uint64_t lost = 0;       ///< lines given up
    bool blocked = false;         ///< the reader does not read; poll descriptor()
    bool report_written = false;  ///< the line of put_report() left
    std::vector<std::string> spent;
  };

  /// Adds whole lines. Takes `chunk`, unless there is no memory for one more.
  void put(std::string&& chunk);
  /// Adds a line in front of all others (behind a line already begun) that is not counted when
  /// lost.
  void put_report(std::string line);
  using Nets = std::vector<std::shared_ptr<const transforms::KeyNet>>;
  /// Masks the keys in what was put since the last call. To be called before drain().
  void mask_keys(const Nets& nets);
  /// Writes what the descriptor takes, about `limit` bytes at most. While failing nothing happens
  /// before retry_at(), unless `attempt` is `now`.
  enum class Attempt { when_due, now };
  Progress drain(std::size_t limit, Attempt attempt);

  bool failing() const { return failing_; }
  Clock::time_point retry_at() const { return retry_at_; }
  bool empty() const { return queue_.empty(); }
  int descriptor() const { return descriptor_; }

 private:
  enum class Kind { plain, nonblocking, socket, polled };
  struct Chunk {
    std::string bytes;
    bool report = false;
    bool masked = false;
  };

  long write_some(const char* data, std::size_t size) const;
  void give_up(Progress& progress);

  int descriptor_;
  bool owned_;
  Kind kind_ = Kind::plain;
  std::deque<Chunk> queue_;
  std::size_t offset_ = 0;  ///< written bytes of the first chunk
  bool mid_line_ = false;
  bool failing_ = false;
  Clock::duration backoff_{};
  Clock::time_point retry_at_{};
};

}  // namespace iron::proxy
