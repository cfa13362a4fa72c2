#pragma once

#include <cstddef>

#include "policy/secret/secret.h"

namespace iron {

/// Memory for secrets: one arena (256 KiB and a buffer for each worker), mapped by
/// prepare_secret_memory() and touched page by page as it fills; what does not fit gets further
/// mappings of the same kind, or of the next weaker kind that the system still grants. Thread safe.
struct SecretBlock {
  char* data = nullptr;
  std::size_t capacity = 0;
};
/// At least `size` zero bytes; throws std::bad_alloc when the system has no memory at all.
SecretBlock take_secret_block(std::size_t size);
/// Wipes the block and gives it back.
void return_secret_block(SecretBlock block);

/// Scratch space in secret memory, where a worker composes what it sends upstream. Not thread safe.
class SecretBuffer {
 public:
  static constexpr std::size_t kUsualSize = 65536;

  explicit SecretBuffer(std::size_t size = kUsualSize);
  ~SecretBuffer();
  SecretBuffer(SecretBuffer&& other) noexcept;
  SecretBuffer& operator=(SecretBuffer&& other) noexcept;
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;

  char* data() { return block_.data; }
  std::size_t size() const { return size_; }
  /// Overwrites the first `used` bytes; called as soon as they are sent.
  void wipe(std::size_t used);

 private:
  SecretBlock block_;
  std::size_t size_ = 0;
};

}  // namespace iron
