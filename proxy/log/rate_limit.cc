#include "proxy/log/rate_limit.h"

namespace iron::proxy {
namespace {

constexpr unsigned kCountBits = 8;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
constexpr std::uint64_t kWindow = 1000;

}  // namespace

bool RateLimit::admit(Clock::time_point now) {
  using std::chrono::milliseconds;
  const auto at = static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count());
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  while (true) {
    const std::uint64_t begin = seen >> kCountBits;
    const std::uint64_t count = seen & kCountMask;
    // Another worker's clock may have been read a moment earlier.
    const bool over = count == 0 || at >= begin + kWindow;
    if (!over && count >= per_second_) return false;
    const std::uint64_t next = over ? (at << kCountBits) | 1 : seen + 1;
    if (state_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return true;
  }
}

}  // namespace iron::proxy
