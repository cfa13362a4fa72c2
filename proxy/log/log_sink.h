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
/// else is written, also after a failure in between. Used by one thread at a time: who does is
/// LogWriter's matter.
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
  /// Masks the keys of `nets` in what was put, then writes what the descriptor takes, about `limit`
  /// bytes at most. While failing nothing happens before retry_at(), unless `attempt` is `now`.
  enum class Attempt { when_due, now };
  Progress drain(const Nets& nets, std::size_t limit, Attempt attempt);
  /// Does so with `lines`, without a way through the queue, which must be empty, and the sink not
  /// failing. What the descriptor does not take now is queued, and `lines` may be empty then.
  Progress write(const Nets& nets, std::string& lines);
  /// Whether drain() and write() return at once, so that a worker may call them. If not, somebody
  /// else's write to the same pipe can make ours wait, and the log's own thread has to do it.
  bool never_waits() const { return kind_ != Kind::polled; }

  bool failing() const { return failing_; }
  Clock::time_point retry_at() const { return retry_at_; }
  bool empty() const { return queue_.empty(); }
  int descriptor() const { return descriptor_; }

 private:
  enum class Kind { plain, nonblocking, socket, nowait, polled };
  struct Chunk {
    std::string bytes;
    bool report = false;
    bool masked = false;
  };

  long write_some(const char* data, std::size_t size);
  long write_without_waiting(const char* data, std::size_t size);
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
