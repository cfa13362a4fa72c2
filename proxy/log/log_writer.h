#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "proxy/log/log_chunks.h"
#include "proxy/log/log_sink.h"
#include "proxy/log/log_waiters.h"

namespace iron::proxy {

/// The bounded buffer of the log and all who empty it (docs/records.md, "Buffering"): a worker
/// writes its own records, whatever is left over is written by a thread. One of them at a time
/// writes to a stream, and each writes what came before first. Thread safe.
class LogWriter {
  struct Stream;

 public:
  struct Options {
    std::size_t buffer_bytes = 0;
    bool drop_when_full = false;
    int stderr_fd = 2;
    /// Renders the record that tells how many lines were lost; an empty line means that nothing is
    /// said.
    std::function<std::string(std::uint64_t)> render_lost;
  };
  /// A place in a stream: everything up to it is written, lost and counted, or still on its way.
  class Place {
   public:
    /// There is nothing to wait for.
    bool empty() const { return stream_ == nullptr; }

   private:
    friend class LogWriter;
    std::shared_ptr<Stream> stream_;
    std::uint64_t position_ = 0;
  };

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
  void append(std::string_view line, std::string* before = nullptr);
  /// Writes request lines and what stands before them without ever waiting for a reader. What is
  /// not written now is in the buffer, and somebody else writes it. Takes the lines; an empty text
  /// stands for those that append() took. The place is empty if all of them were written, or were
  /// counted as lost, or if their reader is known to have stalled; else `waiter` is told.
  Place write(std::string& lines, LogWaiter* waiter);
  /// Whether nothing before `place` is to be waited for any more; if not, `waiter` is told.
  bool left(const Place& place, LogWaiter& waiter);
  /// `place` was waited for long enough: what its reader does not take now stalls, and nobody waits
  /// for that reader until it has caught up. False, and nothing changes, while somebody is writing
  /// to it, for that is no matter of the reader, unless `in_any_case`.
  bool give_up(const Place& place, bool in_any_case);
  void attach(LogWaiter& waiter);
  void detach(LogWaiter& waiter);
  /// Requests go to `descriptor` from the next line on, or to stderr again if it is negative.
  /// What was appended before still goes to where it belonged. Takes the descriptor.
  void redirect_requests(int descriptor);
  bool flush(std::chrono::milliseconds limit);
  /// From now on no line leaves with a key of `net` in it, or of the net before it, whose requests
  /// may still be under way.
  void guard(std::shared_ptr<const transforms::KeyNet> net);

 private:
  using Clock = LogSink::Clock;
  struct Stream {
    Stream(int descriptor, LogSink::Ownership ownership) : sink(descriptor, ownership) {}
    std::deque<std::string> pending;
    std::uint64_t appended = 0, settled = 0;
    bool busy = false;     ///< somebody writes: `sink` and `progress` are theirs, without the lock
    bool stalled = false;  ///< nobody waits until the stream has caught up
    // What the last writer left behind.
    bool blocked = false, failing = false, held = false, never_waits = true;
    Clock::time_point retry_at{};
    LogSink sink;
    LogSink::Progress progress;

    bool has_rest() const { return held || !pending.empty(); }
    /// A worker may write to it now.
    bool writable() const { return !busy && !blocked && !failing && never_waits; }
  };
  /// Makes the holder of the lock the writer of a stream, as long as it lives. It has the lock
  /// again at the end.
  class Turn;

  void run();
  void append_line(Stream& stream, std::string_view line);
  void append_lines(Stream& stream, std::string& lines);
  void write_through(std::unique_lock<std::mutex>& lock, Stream& stream, std::string& lines);
  std::size_t write_rest(std::unique_lock<std::mutex>& lock,
                         Stream& stream,
                         LogSink::Attempt attempt);
  bool done(const Place& place) const;
  void write_round(std::unique_lock<std::mutex>& lock);
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  void retire();
  bool urgent() const;
  bool finished() const;
  bool has_work(Clock::time_point now, Clock::time_point& retry_at) const;
  bool report_due() const;
  void report_lost(LogSink::Attempt attempt);
  void settle(Stream& stream);
  void set_full();
  void wait_for_readers(std::unique_lock<std::mutex>& lock);

  Options options_;
  /// With so much held the thread waits neither for more lines nor for the time of the next
  /// attempt: a buffer that is full would make requests wait meanwhile.
  const std::size_t batch_bytes_;
  std::atomic<bool>& full_;
  std::mutex mutex_;
  std::condition_variable wake_, settled_;
  std::vector<std::shared_ptr<Stream>> streams_;  ///< the first is stderr; retired ones until empty
  std::shared_ptr<Stream> requests_;
  std::shared_ptr<const LogSink::Nets> nets_ = std::make_shared<LogSink::Nets>();
  LogChunks chunks_;
  LogWaiters waiters_;
  std::size_t buffered_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t reported_ = 0;  ///< part of lost_ that the report on its way tells
  bool dropping_ = false;
  bool sleeping_ = false;
  int flushing_ = 0;
  bool stopping_ = false;
  bool reader_took_ = false;  ///< one that was waited for; writer thread only
  Clock::time_point stop_at_{};
  std::vector<std::shared_ptr<Stream>> round_;  ///< writer thread only
  std::thread thread_;
};

}  // namespace iron::proxy
