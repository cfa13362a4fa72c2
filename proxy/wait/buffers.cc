#include "proxy/wait/buffers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "policy/secret/secret.h"

namespace iron::proxy {
namespace {
constexpr std::size_t kKept = 64;

char* allocate(std::size_t size) {
  auto* block = static_cast<char*>(std::malloc(size));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
}  // namespace

BufferPool::BufferPool() {
  // Blocks come back in destructors, where nothing may be thrown.
  small_.reserve(kKept);
  large_.reserve(kKept);
}

void make_room(std::string& text, std::size_t more) {
  if (text.capacity() - text.size() >= more) return;
  std::string larger;
  larger.reserve(std::max(text.size() + more, 2 * text.capacity()));
  larger.append(text);
  wipe({text.data(), text.size()});
  text.swap(larger);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = other.pool_;
    data_ = std::exchange(other.data_, nullptr);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    used_ = std::exchange(other.used_, 0);
    sensitive_ = std::exchange(other.sensitive_, false);
  }
  return *this;
}

void Buffer::release() {
  if (data_ == nullptr) return;
  if (sensitive_) wipe({data_, used_});
  auto* list = capacity_ == BufferPool::kSmall   ? &pool_->small_
               : capacity_ == BufferPool::kLarge ? &pool_->large_
                                                 : nullptr;
  if (list != nullptr && list->size() < kKept) {
    list->push_back(data_);
  } else {
    std::free(data_);
  }
  data_ = nullptr;
  capacity_ = begin_ = end_ = used_ = 0;
  sensitive_ = false;
}

void Buffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(data_ + end_, bytes.data(), bytes.size());
  fill(bytes.size());
}

void Buffer::compact() {
  if (begin_ == 0) return;
  std::memmove(data_, data_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
}

void Buffer::grow(std::size_t capacity) {
  if (capacity <= capacity_) return;
  if (capacity_ > BufferPool::kLarge && !sensitive_) {
    // Blocks of this size are mappings, which realloc moves without copying.
    auto* moved = static_cast<char*>(std::realloc(data_, capacity));
    if (moved == nullptr) throw std::bad_alloc();
    data_ = moved;
    capacity_ = capacity;
    return;
  }
  Buffer larger = pool_->take(capacity);
  larger.append(view());
  larger.sensitive_ = sensitive_;
  *this = std::move(larger);
}

BufferPool::~BufferPool() { trim(0); }

Buffer BufferPool::take(std::size_t capacity) {
  Buffer buffer;
  buffer.pool_ = this;
  if (capacity <= kLarge) {
    auto& list = capacity <= kSmall ? small_ : large_;
    buffer.capacity_ = capacity <= kSmall ? kSmall : kLarge;
    if (!list.empty()) {
      buffer.data_ = list.back();
      list.pop_back();
      return buffer;
    }
  } else {
    buffer.capacity_ = capacity;
  }
  buffer.data_ = allocate(buffer.capacity_);
  return buffer;
}

void BufferPool::trim(std::size_t keep) {
  for (auto* list : {&small_, &large_}) {
    while (list->size() > keep) {
      std::free(list->back());
      list->pop_back();
    }
  }
}

}  // namespace iron::proxy
