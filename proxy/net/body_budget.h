#pragma once

#include <atomic>
#include <cstdint>

namespace iron::proxy {

/// Memory for bodies that transforms must see whole, over all requests:
/// `proxy.limits.body_budget_bytes`. Thread safe.
class BodyBudget {
 public:
  void set_limit(std::int64_t bytes) { limit_ = bytes; }
  bool take(std::int64_t bytes);
  void give_back(std::int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> used_{0};
  std::int64_t limit_ = 268435456;
};

/// Share of the budget held by one request.
class BodyShare {
 public:
  explicit BodyShare(BodyBudget& budget) : budget_(budget) {}
  ~BodyShare() { budget_.give_back(held_); }
  BodyShare(const BodyShare&) = delete;
  /// Holds at least `bytes` in all; false when the budget is exhausted.
  bool hold(std::int64_t bytes);
  void reset();  ///< gives back what is held

 private:
  BodyBudget& budget_;
  std::int64_t held_ = 0;
};

}  // namespace iron::proxy
