#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace iron::bench {

/// One thing to measure. The benchmark programs time it; `gate_cases` counts its instructions.
struct Case {
  std::string name;
  /// Sets up and warms up; what it returns does the work once.
  std::function<std::function<void()>()> prepare;
  int gate_rounds = 0;     ///< how often the gate does the work; 0: not in the gate
  std::int64_t bytes = 0;  ///< processed each time, for a rate
  bool waits = false;      ///< other threads do part of the work: time, not CPU of one thread
};

/// The cases of each library, in the order they are shown.
std::vector<Case> policy_cases();
std::vector<Case> transforms_cases();
std::vector<Case> proxy_cases();
std::vector<Case> tls_cases();

}  // namespace iron::bench
