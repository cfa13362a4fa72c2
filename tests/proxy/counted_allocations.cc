#include "tests/proxy/counted_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace iron::proxy::test {
namespace {

std::atomic<long> count = 0;
thread_local bool refused = false;

}  // namespace

long allocations() { return count; }

NoMemory::NoMemory() { refused = true; }
NoMemory::~NoMemory() { refused = false; }

/// What every `new` is made of.
static void* counted(std::size_t size) {
  ++count;
  if (refused) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace iron::proxy::test

void* operator new(std::size_t size) { return iron::proxy::test::counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
