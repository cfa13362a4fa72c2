#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tls/context.h"

namespace iron::proxy {

/// The upstream TLS settings, whose trust store (about 50 ms) is loaded at first use on a thread of
/// its own.
class UpstreamTls {
 public:
  ~UpstreamTls();
  /// Null until loaded.
  const tls::UpstreamContext* get() const { return ready_.load(std::memory_order_acquire); }
  /// Calls `done` once get() gives the context, inline or on the loading thread.
  void load(std::function<void()> done);
  /// Joins the loading thread if it has loaded; one that still loads is left alone.
  void join_loaded();

 private:
  std::atomic<const tls::UpstreamContext*> ready_{nullptr};
  std::unique_ptr<tls::UpstreamContext> context_;
  std::mutex mutex_;
  std::vector<std::function<void()>> waiting_;
  std::thread loader_;
};

}  // namespace iron::proxy
