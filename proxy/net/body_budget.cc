#include "proxy/net/body_budget.h"

namespace iron::proxy {

bool BodyBudget::take(std::int64_t bytes) {
  if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_) return true;
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

void BodyShare::reset() {
  budget_.give_back(held_);
  held_ = 0;
}

bool BodyShare::hold(std::int64_t bytes) {
  if (bytes <= held_) return true;
  if (!budget_.take(bytes - held_)) return false;
  held_ = bytes;
  return true;
}

}  // namespace iron::proxy
