#include "policy/task.h"

#include <array>

namespace iron::detail {

namespace {

constexpr std::size_t kClass = 64;
constexpr std::size_t kClasses = 64;       // up to 4 KiB
constexpr std::size_t kKeptPerClass = 32;  // a burst's frames go back to the allocator

struct FreeFrame {
  FreeFrame* next;
};

struct FreeList {
  FreeFrame* first = nullptr;
  std::size_t count = 0;
};

struct FreeLists {
  std::array<FreeList, kClasses> lists;
  ~FreeLists() {
    for (auto& list : lists) {
      while (list.first) ::operator delete(std::exchange(list.first, list.first->next));
    }
  }
};

thread_local FreeLists free_lists;

std::size_t class_of(std::size_t size) { return (size + kClass - 1) / kClass; }

}  // namespace

void* allocate_frame(std::size_t size) {
  const std::size_t index = class_of(size);
  if (!kKeepsFrames || index >= kClasses) return ::operator new(size);
  FreeList& list = free_lists.lists[index];
  if (list.first == nullptr) return ::operator new(index * kClass);
  --list.count;
  return std::exchange(list.first, list.first->next);
}

void release_frame(void* frame, std::size_t size) noexcept {
  const std::size_t index = class_of(size);
  if (!kKeepsFrames || index >= kClasses) return ::operator delete(frame);
  FreeList& list = free_lists.lists[index];
  if (list.count >= kKeptPerClass) return ::operator delete(frame);
  ++list.count;
  list.first = new (frame) FreeFrame{list.first};
}

}  // namespace iron::detail
