#pragma once

#include <chrono>

namespace iron::proxy {

using SteadyTime = std::chrono::steady_clock::time_point;

/// `by` after `begin`; max() where that is beyond all times, as for a limit that is none.
inline SteadyTime later(SteadyTime begin, std::chrono::nanoseconds by) {
  return by > SteadyTime::max() - begin ? SteadyTime::max() : begin + by;
}

/// Where everything that runs on a loop has the time from, so that tests can turn it by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime now() const = 0;
  /// The system's monotonic clock.
  static const Clock& system();
};

}  // namespace iron::proxy
