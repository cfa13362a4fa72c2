#pragma once

#include "proxy/wait/clock.h"

namespace iron::proxy {

/// A clock that stands still until the test moves it.
class ManualClock final : public Clock {
 public:
  SteadyTime now() const override { return now_; }
  void advance(std::chrono::nanoseconds by) { now_ += by; }

 private:
  // Not the zero of the clock, which types here use for "never"; and beyond what the system's clock
  // shows, by which timers of Asio's own go.
  SteadyTime now_ = SteadyTime(std::chrono::years(100));
};

}  // namespace iron::proxy
