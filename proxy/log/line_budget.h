#pragma once

#include <atomic>
#include <cstdint>

namespace iron::proxy {

/// How many bytes of lines are held, and what that means. Used under the log's lock.
class LineBudget {
 public:
  struct Options {
    std::size_t bytes = 0;
    bool drop_when_full = false;
  };
  /// `full` is set while new requests are to wait: from the moment when all is used until a quarter
  /// is free again. Never with `drop_when_full`.
  LineBudget(const Options& options, std::atomic<bool>& full);

  /// Whether there is room for `bytes` more. In-flight requests still write their records while new
  /// ones wait, so there is twice as much for them. Without room lines are being dropped until a
  /// quarter is free.
  bool admits(std::size_t bytes);
  void take(std::size_t bytes);
  void release(std::size_t bytes);

  std::size_t held() const { return held_; }
  bool dropping() const { return dropping_; }
  /// So much is held that nothing is gained by waiting: neither for more lines nor for the time of
  /// the next attempt, for a buffer that is full would make requests wait meanwhile.
  bool urgent() const { return held_ >= batch_bytes_; }

 private:
  const Options options_;
  const std::size_t batch_bytes_;
  std::atomic<bool>& full_;
  std::size_t held_ = 0;
  bool dropping_ = false;
};

/// Lines that were lost, until a report of them has left. Used under the log's lock.
class LossCount {
 public:
  void add(std::uint64_t lines) { lost_ += lines; }
  /// A report of so many is on its way.
  void begin_report(std::uint64_t lines) { reported_ = lines; }
  /// It left.
  void reported() { lost_ -= reported_; }
  /// It is not on its way any more.
  void end_report() { reported_ = 0; }
  /// Lost and not told of.
  std::uint64_t count() const { return lost_; }
  bool reporting() const { return reported_ > 0; }

 private:
  std::uint64_t lost_ = 0;
  std::uint64_t reported_ = 0;  ///< part of lost_
};

}  // namespace iron::proxy
