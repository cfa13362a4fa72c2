#include "tls/record_memory.h"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace iron::tls {
namespace {

constexpr std::size_t kBlocksPerStep = 64;
constexpr std::size_t kAddresses = RecordMemory::kBlocks * RecordMemory::kBlock;

/// Further than kAddresses from everything, null among it.
constexpr std::uintptr_t kNowhere = std::uintptr_t{1} << 63;

/// Where the blocks begin, as long as there is a place for them. By itself, because each of the
/// thousands of releases of a handshake asks for it, and for nothing else: a static object with a
/// constructor is guarded at each look.
constinit std::atomic<std::uintptr_t> blocks_begin{kNowhere};

bool in_blocks(const void* memory) {
  const auto begin = blocks_begin.load(std::memory_order_relaxed);
  return reinterpret_cast<std::uintptr_t>(memory) - begin < kAddresses;
}

/// The addresses, and which blocks of them are free. Made at the first use; never given back.
class Place {
 public:
  static Place& instance() {
    static Place place;
    return place;
  }

  void* take() {
    const std::lock_guard lock(mutex_);
    if (free_count_ > 0) return block(free_[--free_count_]);
    if (used_ == opened_ && !open_more()) return nullptr;
    return block(used_++);
  }

  void give_back(void* memory) {
    ::madvise(memory, RecordMemory::kBlock, MADV_DONTNEED);
    const auto index = static_cast<std::size_t>(static_cast<char*>(memory) - begin_);
    const std::lock_guard lock(mutex_);
    free_[free_count_++] = static_cast<std::uint16_t>(index / RecordMemory::kBlock);
  }

 private:
  Place() {
    // Addresses alone: what is not opened counts nowhere.
    void* begin =
        ::mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED) {
      used_ = opened_ = RecordMemory::kBlocks;
    } else {
      begin_ = static_cast<char*>(begin);
      blocks_begin.store(reinterpret_cast<std::uintptr_t>(begin), std::memory_order_relaxed);
    }
  }

  void* block(std::size_t index) { return begin_ + index * RecordMemory::kBlock; }

  bool open_more() {
    const std::size_t count = std::min(kBlocksPerStep, RecordMemory::kBlocks - opened_);
    if (count == 0) return false;
    if (::mprotect(block(opened_), count * RecordMemory::kBlock, PROT_READ | PROT_WRITE) != 0) {
      return false;
    }
    opened_ += count;
    return true;
  }

  char* begin_ = nullptr;
  std::mutex mutex_;
  std::size_t opened_ = 0, used_ = 0, free_count_ = 0;
  std::array<std::uint16_t, RecordMemory::kBlocks> free_{};
};

/// Blocks that a thread has given back and may take again without a lock or a page fault.
struct Ready {
  std::array<void*, RecordMemory::kReadyPerThread> blocks;
  std::size_t count;
};
thread_local Ready ready{};

bool fits(std::size_t size) {
  return size - RecordMemory::kLeast <= RecordMemory::kBlock - RecordMemory::kLeast;
}

void* take_block() {
  if (ready.count > 0) return ready.blocks.at(--ready.count);
  return Place::instance().take();
}

void give_block_back(void* block) {
  if (ready.count < ready.blocks.size()) {
    ready.blocks.at(ready.count++) = block;
  } else {
    Place::instance().give_back(block);
  }
}

}  // namespace

void* RecordMemory::allocate(std::size_t size) {
  if (fits(size)) [[unlikely]] {
    if (void* block = take_block()) return block;
  }
  return std::malloc(size);
}

void* RecordMemory::resize(void* memory, std::size_t size) {
  if (!owns(memory)) return std::realloc(memory, size);
  if (fits(size)) return memory;
  void* moved = nullptr;
  if (size > 0) {
    moved = allocate(size);
    if (moved == nullptr) return nullptr;
    std::memcpy(moved, memory, std::min(size, kBlock));
  }
  release(memory);
  return moved;
}

void RecordMemory::release(void* memory) {
  if (in_blocks(memory)) [[unlikely]] {
    give_block_back(memory);
  } else {
    std::free(memory);
  }
}

bool RecordMemory::owns(const void* memory) { return in_blocks(memory); }

bool RecordMemory::install() {
  return CRYPTO_set_mem_functions(
             [](std::size_t size, const char*, int) { return allocate(size); },
             [](void* memory, std::size_t size, const char*, int) { return resize(memory, size); },
             [](void* memory, const char*, int) { release(memory); }) == 1;
}

}  // namespace iron::tls
