#include "proxy/net/upstream_tls.h"

#include <chrono>
#include <utility>

#include "tls/trust.h"

namespace iron::proxy {
namespace {
/// Sessions wait for it, so it is tried until there is memory for it.
std::unique_ptr<tls::UpstreamContext> load_context() {
  while (true) {
    try {
      return std::make_unique<tls::UpstreamContext>(tls::load_trust_store());
    } catch (const std::exception&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}
}  // namespace

UpstreamTls::~UpstreamTls() {
  if (loader_.joinable()) loader_.join();
}

void UpstreamTls::join_loaded() {
  const std::lock_guard lock(mutex_);
  if (context_ && loader_.joinable()) loader_.join();
}

void UpstreamTls::load(std::function<void()> done) {
  std::unique_lock lock(mutex_);
  if (context_) {
    lock.unlock();
    done();
    return;
  }
  waiting_.push_back(std::move(done));
  if (loader_.joinable()) return;
  loader_ = std::thread([this] {
    auto context = load_context();
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard inner(mutex_);
      context_ = std::move(context);
      ready_.store(context_.get(), std::memory_order_release);
      waiting.swap(waiting_);
    }
    for (const auto& callback : waiting) callback();
  });
}

}  // namespace iron::proxy
