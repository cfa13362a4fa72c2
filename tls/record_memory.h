#pragma once

#include <cstddef>

namespace iron::tls {

/// Memory for OpenSSL, with a place of its own for record buffers. Those come and go with each
/// burst of a connection, among objects that stay; in the C library's heap each leaves a hole whose
/// first and last page nobody can use: 20.4 KiB for each idle tunnel, of which 16.9 were in use.
/// Blocks here begin on a page, and beyond a few for each thread they go back to the system when
/// they are free. Thread safe. Everything of another size, and all when the place is full, is the C
/// library's.
class RecordMemory {
 public:
  static constexpr std::size_t kBlock = std::size_t{20} * 1024;
  /// Smallest size that gets a block: OpenSSL's buffers for a record take 16.2 to 16.7 KiB.
  static constexpr std::size_t kLeast = std::size_t{16} * 1024;
  static constexpr std::size_t kBlocks = 6553;  ///< 128 MiB of addresses
  static constexpr std::size_t kReadyPerThread = 32;

  /// Null if there is no memory.
  static void* allocate(std::size_t size);
  /// As realloc(3).
  static void* resize(void* memory, std::size_t size);
  static void release(void* memory);
  /// Whether it is one of the blocks.
  static bool owns(const void* memory);

  /// OpenSSL uses it from now on. False, and without effect, after it has allocated anything.
  static bool install();
};

}  // namespace iron::tls
