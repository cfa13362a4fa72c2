#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "policy/secret/secret.h"

namespace iron {

/// `count` values in secret memory, all bytes zero at first: for what can be computed from keys and
/// should not be found either. Wiped at the end.
template <class T>
class SecretArray {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);

 public:
  SecretArray() = default;
  explicit SecretArray(std::size_t count)
      : bytes_(Secret::sized(count * sizeof(T))), count_(count) {}

  std::span<T> all() { return {reinterpret_cast<T*>(bytes_.writable().data()), count_}; }
  std::span<const T> all() const {
    return {reinterpret_cast<const T*>(bytes_.reveal().data()), count_};
  }

 private:
  Secret bytes_;
  std::size_t count_ = 0;
};

}  // namespace iron
