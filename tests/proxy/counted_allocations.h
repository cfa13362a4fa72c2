#pragma once

namespace iron::proxy::test {

/// How often `new` was called in this program so far, by any thread.
long allocations();

/// For this thread there is no memory while one lives.
class NoMemory {
 public:
  NoMemory();
  ~NoMemory();
  NoMemory(const NoMemory&) = delete;
};

}  // namespace iron::proxy::test
