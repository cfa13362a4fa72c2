#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <string_view>

namespace iron::proxy {

/// How many idle connections of a key all workers keep beyond each one's own part. Keys with the
/// same hash are counted together. Thread safe, without locks.
class IdleBudget {
 public:
  std::atomic<int>& of(std::string_view key) {
    return counts_[std::hash<std::string_view>()(key) % counts_.size()];
  }

 private:
  std::array<std::atomic<int>, 1024> counts_{};
};

}  // namespace iron::proxy
