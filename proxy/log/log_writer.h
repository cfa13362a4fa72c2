#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "proxy/log/line_queue.h"
#include "proxy/log/log_drain.h"

namespace iron::proxy {

/// All who write the lines of the log (docs/records.md, "Buffering"): a worker writes its own
/// records, a thread whatever is left over. Thread safe.
class LogWriter {
 public:
  struct Options {
    std::size_t buffer_bytes = 0;
    bool drop_when_full = false;
    int stderr_fd = 2;
    LogDrain::RenderLost render_lost;
  };
  using Place = LineQueue::Place;

  /// `full` is set while the buffer is full and new requests are to wait. No thread writes before
  /// start().
  LogWriter(Options options, std::atomic<bool>& full);
  /// Writes for one second at most.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Makes the thread, once; flush() and the end do it too.
  void start();
  /// An operational line with its line feed; it goes into the buffer. `before`: request lines that
  /// arose before it; they are taken if they go the same way, so that the order stays.
  void append(std::string_view line, std::string* before = nullptr) { queue_.append(line, before); }
  /// Counts lines that could not be made.
  void lose(std::uint64_t lines) { queue_.lose(lines); }
  /// Writes request lines and what stands before them without ever waiting for a reader. What is
  /// not written now is in the buffer, and somebody else writes it. Takes the lines; an empty text
  /// stands for those that append() took. The place is empty if all of them were written, or were
  /// counted as lost, or if their reader is known to have stalled; else `waiter` is told.
  Place write(std::string& lines, LogWaiter* waiter);
  /// Whether nothing before `place` is to be waited for any more; if not, `waiter` is told.
  bool left(const Place& place, LogWaiter& waiter) { return queue_.left(place, waiter); }
  /// `place` was waited for long enough: what its reader does not take now stalls, and nobody waits
  /// for that reader until it has caught up. False, and nothing changes, while somebody is writing
  /// to it, for that is no matter of the reader, unless `in_any_case`.
  bool give_up(const Place& place, bool in_any_case);
  void attach(LogWaiter& waiter) { queue_.attach(waiter); }
  void detach(LogWaiter& waiter) { queue_.detach(waiter); }
  /// Requests go to `descriptor` from the next line on, or to stderr again if it is negative.
  /// What was appended before still goes to where it belonged. Takes the descriptor.
  void redirect_requests(int descriptor);
  bool flush(std::chrono::milliseconds limit);
  /// See LineQueue::guard().
  void guard(std::shared_ptr<const transforms::KeyNet> net) { queue_.guard(std::move(net)); }

 private:
  void run();

  LineQueue queue_;
  LogDrain drain_;
  std::mutex starting_;
  std::thread thread_;
};

}  // namespace iron::proxy
