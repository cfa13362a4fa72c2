#include "policy/secret/secret.h"

#include <openssl/crypto.h>
#include <string.h>

#include <cstring>
#include <utility>

#include "policy/secret/secret_arena.h"
#include "policy/secret/vector_registers.h"

namespace iron {

void wipe(std::span<char> bytes) {
  explicit_bzero(bytes.data(), bytes.size());
  clear_vector_registers();
}

Secret Secret::sized(std::size_t size) {
  Secret secret;
  if (size == 0) return secret;
  const SecretBlock block = take_secret_block(size);
  secret.data_ = block.data;
  secret.size_ = size;
  secret.capacity_ = block.capacity;
  return secret;
}

Secret Secret::copy_of(std::string_view bytes) {
  Secret secret = sized(bytes.size());
  if (!bytes.empty()) std::memcpy(secret.data_, bytes.data(), bytes.size());
  return secret;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  return_secret_block({data_, capacity_});
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  capacity_ = std::exchange(other.capacity_, 0);
  return *this;
}

Secret::~Secret() { return_secret_block({data_, capacity_}); }

void Secret::shrink(std::size_t size) {
  if (size >= size_) return;
  wipe({data_ + size, size_ - size});
  size_ = size;
}

bool Secret::equals(std::string_view other) const {
  return size_ == other.size() && (size_ == 0 || CRYPTO_memcmp(data_, other.data(), size_) == 0);
}

}  // namespace iron
