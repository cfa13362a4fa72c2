#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace iron::proxy {

/// Keeps a record that sandboxes cause from filling the log: admits so many in each second that
/// begins with the first of them, from all workers together. Thread safe, without locks.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  /// Up to 255 a second.
  explicit RateLimit(std::uint8_t per_second = 10) : per_second_(per_second) {}
  bool admit(Clock::time_point now);

 private:
  const std::uint8_t per_second_;
  std::atomic<std::uint64_t> state_{0};  ///< begin of the window in milliseconds, then the count
};

}  // namespace iron::proxy
