#pragma once

namespace iron::bench {

/// Makes the compiler believe that `value` is used, so that computing it is not left out.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace iron::bench
