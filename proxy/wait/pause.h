#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>

#include "proxy/wait/clock.h"
#include "proxy/wait/intrusive_list.h"

namespace iron::proxy {

class EventLoop;

/// Told once per sleep that it has become a long one, so that what is only needed while busy can be
/// given back.
class LongSleep {
 public:
  virtual ~LongSleep() = default;
  virtual void on_long_sleep() = 0;
};

/// The one thing a session sleeps on. It tries its operations; if none makes progress it arms what
/// it waits for (Connection::arm_read) and awaits its Pause. Whatever happens (readiness, a
/// deadline, a result from another thread, the end of the drain) wakes it, and it tries again.
/// Waking too often is harmless.
class Pause : public ListNode {
 public:
  explicit Pause(EventLoop& loop);
  ~Pause();

  bool await_ready() { return std::exchange(signalled_, false); }
  void await_suspend(std::coroutine_handle<> handle) {
    waiting_ = handle;
    ticks_slept_ = 0;
  }
  void await_resume() { signalled_ = false; }

  /// Has the loop resume the sleeper behind the handler that runs now, never before wake() returns;
  /// or keeps its next sleep from happening. Only on the loop's thread.
  void wake();
  /// From then on expired() holds, until the next call. Times come from the loop's clock.
  void set_deadline(SteadyTime when);
  void set_timeout(std::chrono::nanoseconds from_now);
  void clear_deadline();
  bool expired() const { return expired_; }
  /// While set, the beginning of the drain ends the wait too: nothing that counts is in flight.
  void yield_to_drain(bool yields) { yields_to_drain_ = yields; }
  void set_long_sleep(LongSleep* listener) { long_sleep_ = listener; }
  /// To be awaited next: the sleep ends when the others of the loop have had their turn, or when
  /// something else wakes the sleeper before.
  Pause& pass_turn();
  EventLoop& loop() const { return loop_; }
  /// Whether the sleeper must give up: its deadline passed, the drain is over, or has begun for one
  /// that yields to it.
  bool given_up() const;

 private:
  friend class EventLoop;
  EventLoop& loop_;
  std::coroutine_handle<> waiting_;
  SteadyTime deadline_ = SteadyTime::max();
  LongSleep* long_sleep_ = nullptr;
  unsigned ticks_slept_ = 0;
  bool signalled_ = false;
  bool expired_ = false;
  bool yields_to_drain_ = false;
};

/// How much one session may move before the others of its loop have their turn: two peers that
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
