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

#include "proxy/log_sink.h"

namespace iron::proxy {

/// The bounded buffer of the log and the one thread that empties it (docs/records.md, "Buffering").
/// Thread safe.
class LogWriter {
 public:
  enum class Channel { operational, requests };
  struct Options {
    std::size_t buffer_bytes = 0;
    bool drop_when_full = false;
    int stderr_fd = 2;
    /// Renders the record that tells how many lines were lost; an empty line means that nothing is
    /// said.
    std::function<std::string(std::uint64_t)> render_lost;
  };
  /// `full` is set while the buffer is full and new requests are to wait. Nothing is written before
  /// start().
  LogWriter(Options options, std::atomic<bool>& full);
  /// Writes for one second at most.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Makes the thread, once; flush() and the end do it too.
  void start();
  /// `line` ends with its line feed.
  void append(Channel channel, std::string_view line);
  /// Requests go to `descriptor` from the next append() on, or to stderr again if it is negative.
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
    std::deque<std::string> pending;  ///< guarded by mutex_
    std::uint64_t appended = 0, settled = 0;
    LogSink sink;  ///< writer thread only
    LogSink::Progress progress;
  };

  void run();
  void append_to(std::deque<std::string>& pending, std::string_view line);
  void write_round(std::unique_lock<std::mutex>& lock);
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  bool urgent() const;
  bool finished() const;
  bool has_work(Clock::time_point now, Clock::time_point& retry_at) const;
  void collect();
  bool report_due() const;
  void report_lost();
  void drain();
  void settle();
  void wait_for_readers();

  Options options_;
  std::atomic<bool>& full_;
  std::mutex mutex_;
  std::condition_variable wake_, settled_;
  std::vector<std::shared_ptr<Stream>> streams_;  ///< the first is stderr; retired ones until empty
  std::shared_ptr<Stream> requests_;
  LogSink::Nets nets_;
  std::vector<std::string> spare_;
  std::size_t buffered_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t reported_ = 0;  ///< part of lost_ that the report on its way tells
  bool dropping_ = false;
  bool sleeping_ = false;
  int flushing_ = 0;
  bool stopping_ = false;
  Clock::time_point stop_at_{};
  std::vector<std::shared_ptr<Stream>> round_;  ///< writer thread only
  LogSink::Nets round_nets_;                    ///< writer thread only
  LogSink::Attempt attempt_ = LogSink::Attempt::when_due;
  std::thread thread_;
};

}  // namespace iron::proxy
