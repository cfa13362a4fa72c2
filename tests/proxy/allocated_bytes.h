#pragma once

#include <malloc.h>

#include <cstddef>

namespace iron::proxy {

/// What the process has from malloc(3), for what libraries take and give back. 0 under a sanitizer,
/// whose allocator does not tell.
inline std::size_t allocated_bytes() { return ::mallinfo2().uordblks; }

}  // namespace iron::proxy
