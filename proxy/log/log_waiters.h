#pragma once

#include <vector>

namespace iron::proxy {

/// Who handed lines over and holds something back until they have left.
class LogWaiter {
 public:
  virtual ~LogWaiter() = default;
  /// They may have left: time for LogWriter::left(). Called once for each wait, on any thread and
  /// under the log's lock: it may do no more than tell its own thread.
  virtual void on_progress() noexcept = 0;

 private:
  friend class LogWaiters;
  bool waits_ = false;  ///< under the writer's lock
};

/// All who may wait for the log. Used under its lock.
class LogWaiters {
 public:
  void attach(LogWaiter& waiter) { waiters_.push_back(&waiter); }
  void detach(LogWaiter& waiter);
  /// `waiter`, which is attached, is told by the next tell().
  void wait(LogWaiter& waiter);
  /// Somebody waits.
  bool any() const { return waiting_ > 0; }
  void tell();

 private:
  std::vector<LogWaiter*> waiters_;
  int waiting_ = 0;  ///< how many of them wait
};

}  // namespace iron::proxy
