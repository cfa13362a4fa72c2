#pragma once

#include <array>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <utility>

namespace iron::proxy::dns {

/// Runs the loop until it is stopped. What a handler throws (memory ran out) ends what that handler
/// did, not the process; `report()`, which throws nothing, tells of std::current_exception().
template <class Report>
void run_loop(boost::asio::io_context& context, Report report) {
  while (true) {
    try {
      context.run();
      return;
    } catch (const std::exception&) {
      report();
    }
  }
}

/// Memory for the waits that must always be under way (accepting, the tick), so that arming them
/// again does not need any. Two at once; more come from the heap.
class HandlerMemory {
 public:
  void* take(std::size_t size) {
    for (Block& block : blocks_) {
      if (!block.used && size <= sizeof block.bytes) {
        block.used = true;
        return block.bytes;
      }
    }
    return ::operator new(size);
  }
  void give_back(void* memory) {
    for (Block& block : blocks_) {
      if (memory == block.bytes) {
        block.used = false;
        return;
      }
    }
    ::operator delete(memory);
  }

 private:
  struct Block {
    alignas(std::max_align_t) std::byte bytes[512];
    bool used = false;
  };
  std::array<Block, 2> blocks_;
};

/// Shares the memory, for a loop may hold a handler longer than its owner lives.
template <class T>
struct HandlerAllocator {
  using value_type = T;
  explicit HandlerAllocator(std::shared_ptr<HandlerMemory> memory_in)
      : memory(std::move(memory_in)) {}
  template <class Other>
  HandlerAllocator(const HandlerAllocator<Other>& other) : memory(other.memory) {}
  T* allocate(std::size_t count) { return static_cast<T*>(memory->take(count * sizeof(T))); }
  void deallocate(T* block, std::size_t) { memory->give_back(block); }
  template <class Other>
  bool operator==(const HandlerAllocator<Other>& other) const {
    return memory == other.memory;
  }
  std::shared_ptr<HandlerMemory> memory;
};

/// `handler`, with its operation in that memory.
template <class Handler>
auto in_memory(const std::shared_ptr<HandlerMemory>& memory, Handler handler) {
  return boost::asio::bind_allocator(HandlerAllocator<std::byte>(memory), std::move(handler));
}

}  // namespace iron::proxy::dns
