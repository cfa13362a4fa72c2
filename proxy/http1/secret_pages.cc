#include "proxy/http1/secret_pages.h"

#include <utility>

namespace iron::proxy {
namespace {
constexpr std::size_t kKept = 2;
}  // namespace

SecretPages::SecretPages() {
  kept_.reserve(kKept);  // they come back where nothing may be thrown
}

std::unique_ptr<SecretBuffer> SecretPages::take(std::size_t bound) {
  if (bound > SecretBuffer::kUsualSize) return std::make_unique<SecretBuffer>(bound);
  if (kept_.empty()) return std::make_unique<SecretBuffer>();
  auto block = std::move(kept_.back());
  kept_.pop_back();
  return block;
}

void SecretPages::give_back(std::unique_ptr<SecretBuffer> block, std::size_t used) {
  block->wipe(used);
  if (kept_.size() < kKept && block->size() == SecretBuffer::kUsualSize) {
    kept_.push_back(std::move(block));
  }
}

}  // namespace iron::proxy
