#pragma once

#include <memory>
#include <utility>

#include "proxy/exchange/site.h"

namespace iron::proxy {

/// A thread's part of the program: one site, and the loop that its sessions run on.
class Worker {
 public:
  Worker(Services& services, std::shared_ptr<const Snapshot> snapshot, int share)
      : site_(services, std::move(snapshot), share) {}

  void run();  ///< the thread's body; returns after stop()
  void stop();
  /// Runs `action` on the worker's thread. Thread safe.
  template <class Action>
  void post(Action action) {
    site_.loop().post(std::move(action));
  }
  Site& site() { return site_; }

 private:
  Site site_;
};

}  // namespace iron::proxy
