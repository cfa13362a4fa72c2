#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace iron::proxy {

/// Keeps a record that sandboxes cause from filling the log: admits ten in each second that begins
/// with the first of them, from all workers together. Thread safe, without locks.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::uint64_t kPerSecond = 10;

  bool admit(Clock::time_point now);

 private:
  std::atomic<std::uint64_t> state_{0};  ///< begin of the window in milliseconds, then the count
};

}  // namespace iron::proxy
