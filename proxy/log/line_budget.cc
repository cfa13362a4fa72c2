#include "proxy/log/line_budget.h"

#include <algorithm>

namespace iron::proxy {
namespace {
constexpr std::size_t kBatchBytes = 256 * 1024;
}  // namespace

LineBudget::LineBudget(const Options& options, std::atomic<bool>& full)
    : options_(options), batch_bytes_(std::min(kBatchBytes, options.bytes / 2 + 1)), full_(full) {}

bool LineBudget::admits(std::size_t bytes) {
  const std::size_t limit = options_.bytes * (options_.drop_when_full ? 1 : 2);
  if (held_ + bytes <= limit) return true;
  dropping_ = true;
  return false;
}

void LineBudget::take(std::size_t bytes) {
  held_ += bytes;
  if (!options_.drop_when_full && held_ >= options_.bytes) full_ = true;
}

void LineBudget::release(std::size_t bytes) {
  held_ -= bytes;
  if (held_ > options_.bytes / 4 * 3) return;
  // Every worker reads it for each request; written in vain it would go back and forth.
  if (full_.load(std::memory_order_relaxed)) full_ = false;
  dropping_ = false;
}

}  // namespace iron::proxy
