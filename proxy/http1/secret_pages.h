#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "policy/secret/secret_arena.h"

namespace iron::proxy {

/// Secret memory of a worker in which what leaves with keys in it is composed. A few blocks are
/// kept, for they are scarce and cost a system call each.
class SecretPages {
 public:
  SecretPages();
  SecretPages(const SecretPages&) = delete;

  /// A block of `bound` bytes or more. Throws std::bad_alloc.
  std::unique_ptr<SecretBuffer> take(std::size_t bound);
  /// Wipes its first `used` bytes.
  void give_back(std::unique_ptr<SecretBuffer> block, std::size_t used);

 private:
  std::vector<std::unique_ptr<SecretBuffer>> kept_;
};

}  // namespace iron::proxy
