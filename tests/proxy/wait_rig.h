#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "policy/task.h"
#include "proxy/wait/event_loop.h"
#include "tests/proxy/manual_clock.h"

namespace iron::proxy {

/// What happened, in its order.
using Trail = std::vector<std::string>;

/// A loop that the test turns, its clock, and those who sleep on it.
class WaitTest : public testing::Test {
 protected:
  void spawn(Task<void> task) {
    start(std::move(task), [this](std::exception_ptr) { trail_.emplace_back("failed"); });
  }
  /// Turns the loop until nothing is ready.
  void settle() {
    while (loop_.turn()) {
    }
  }
  void advance(std::chrono::nanoseconds by) {
    clock_.advance(by);
    settle();
  }
  Task<void> sleep(Pause& pause, std::string name) {
    co_await pause;
    trail_.push_back(name + (pause.expired() ? " expired" : " woke"));
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  Trail trail_;
};

}  // namespace iron::proxy
