#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iron::proxy {

class BufferPool;

/// Room for `more` bytes behind `text`. A string that grows by itself leaves its bytes behind where
/// it was.
void make_room(std::string& text, std::size_t more);

/// A block of memory lent by a worker's pool: bytes [begin, end) are unread, [end, capacity) is
/// free. Empty (no block) while a connection idles. Wiped on return as far as it was used if it may
/// have held a key.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { release(); }

  bool held() const { return data_ != nullptr; }
  void release();
  std::size_t capacity() const { return capacity_; }
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  char* data() { return data_ + begin_; }
  std::string_view view() const { return {data_ + begin_, end_ - begin_}; }
  std::span<char> space() { return {data_ + end_, capacity_ - end_}; }
  void fill(std::size_t count) {
    end_ += count;
    if (end_ > used_) used_ = end_;
  }
  void consume(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void append(std::string_view bytes);  ///< needs the space
  /// Moves the unread bytes to the front.
  void compact();
  /// Forgets the content; the block stays.
  void clear() { begin_ = end_ = 0; }
  /// Its content may hold a key from now on.
  void set_sensitive() { sensitive_ = true; }
  /// A larger block with the same unread bytes, at least `capacity`.
  void grow(std::size_t capacity);

 private:
  friend class BufferPool;
  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0, used_ = 0;
  bool sensitive_ = false;
};

/// Blocks of two sizes per worker, most recently used first, so that busy ones stay in the cache
/// and a quiet proxy holds few.
class BufferPool {
 public:
  static constexpr std::size_t kSmall = 16 * 1024;
  static constexpr std::size_t kLarge = 64 * 1024;
  BufferPool();
  ~BufferPool();
  Buffer take(std::size_t capacity);
  /// Gives unused blocks back to the system allocator, down to `keep` of each size.
  void trim(std::size_t keep);

 private:
  friend class Buffer;
  std::vector<char*> small_, large_;
};

}  // namespace iron::proxy
