#pragma once

#include <chrono>
#include <new>
#include <thread>

namespace iron::proxy {

/// Repeats `step` until memory is there for it.
template <class Step>
auto with_patience(Step step) {
  while (true) {
    try {
      return step();
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

}  // namespace iron::proxy
