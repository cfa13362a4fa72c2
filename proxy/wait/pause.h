#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <utility>

#include "proxy/wait/intrusive_list.h"

namespace iron::proxy {

class Worker;
using SteadyTime = std::chrono::steady_clock::time_point;

/// `by` after `begin`; max() where that is beyond all times, as for a limit that is none.
inline SteadyTime later(SteadyTime begin, std::chrono::nanoseconds by) {
  return by > SteadyTime::max() - begin ? SteadyTime::max() : begin + by;
}

/// Told once per sleep that it has become a long one, so that what is only needed while busy can be
/// given back.
class LongSleep {
 public:
  virtual ~LongSleep() = default;
  virtual void on_long_sleep() = 0;
};

/// The one thing a session sleeps on. It tries its operations; if none makes progress it arms what
/// it waits for (Connection::want) and awaits its Pause. Whatever happens (readiness, a deadline, a
/// result from another thread, the end of the drain) wakes it, and it tries again. Waking too often
/// is harmless.
class Pause : public ListNode {
 public:
  explicit Pause(Worker& worker);
  ~Pause();

  bool await_ready() { return std::exchange(signalled_, false); }
  void await_suspend(std::coroutine_handle<> handle) {
    waiting_ = handle;
    ticks_slept_ = 0;
  }
  void await_resume() { signalled_ = false; }

  /// Resumes the sleeper, or keeps its next sleep from happening. Only from the worker's event
  /// handlers.
  void wake();
  /// From then on expired() holds, until the next call. Times come from the worker's clock.
  void set_deadline(SteadyTime when);
  void set_timeout(std::chrono::nanoseconds from_now);
  void clear_deadline();
  bool expired() const { return expired_; }
  /// While set, the beginning of the drain ends the wait too: nothing that counts is in flight.
  void yield_to_drain(bool yields) { yields_to_drain_ = yields; }
  bool yields_to_drain() const { return yields_to_drain_; }
  void set_long_sleep(LongSleep* listener) { long_sleep_ = listener; }
  /// To be awaited next: the sleep ends when the others of the worker have had their turn, or when
  /// something else wakes the sleeper before.
  Pause& pass_turn();
  Worker& worker() const { return worker_; }

 private:
  friend class Worker;
  Worker& worker_;
  std::coroutine_handle<> waiting_;
  SteadyTime deadline_ = SteadyTime::max();
  LongSleep* long_sleep_ = nullptr;
  unsigned ticks_slept_ = 0;
  bool signalled_ = false;
  bool expired_ = false;
  bool yields_to_drain_ = false;
};

/// How much one session may move before the others of its worker have their turn: two peers that
/// are both fast would keep it for themselves.
class Turn {
 public:
  void moved(std::size_t bytes) {
    bytes_ += bytes;
    ++steps_;
  }
  bool over() const { return bytes_ >= kBytes || steps_ >= kSteps; }
  void begin() {
    bytes_ = 0;
    steps_ = 0;
  }

 private:
  static constexpr std::size_t kBytes = 128 * 1024;
  static constexpr unsigned kSteps = 16;
  std::size_t bytes_ = 0;
  unsigned steps_ = 0;
};

}  // namespace iron::proxy
