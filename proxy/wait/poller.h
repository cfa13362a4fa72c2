#pragma once

#include <chrono>
#include <cstdint>

namespace iron::proxy {

/// Told what happened to a descriptor: the bits of epoll(7). Only notes it; who wakes whom is the
/// loop's.
class Readiness {
 public:
  virtual void ready(std::uint32_t events) = 0;

 protected:
  ~Readiness() = default;
};

/// The kernel's set of descriptors of one loop. Its own instead of Asio's reactor, which arms each
/// wait anew with an epoll_ctl: two for each request, and 1,500 instructions in user space
/// (docs/performance.md).
class Poller {
 public:
  Poller();  ///< throws std::system_error
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// `told` outlives its place in the set. Throws std::bad_alloc where the kernel has none left.
  void add(int descriptor, std::uint32_t events, Readiness& told);
  void modify(int descriptor, std::uint32_t events, Readiness& told);
  void remove(int descriptor);
  /// Waits for what happens, up to `limit`, negative: for ever; to a millisecond, never less.
  /// Tells everyone whom it concerns; false if nothing happened.
  bool wait(std::chrono::nanoseconds limit);

 private:
  int set_;
};

}  // namespace iron::proxy
