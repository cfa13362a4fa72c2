#include "policy/secret/secret_arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace iron {
namespace {

constexpr std::size_t kArenaSize = 262144;  // for secrets; buffers of the workers come on top
constexpr std::size_t kChunkSize = 65536;   // further chunks, and the arena where memory is short
constexpr std::size_t kSmallestBlock = 32;
constexpr std::size_t kLargestBlock = 65536;  // more than this gets a mapping of its own
constexpr std::size_t kPage = 4096;
constexpr std::size_t kClasses = std::bit_width(kLargestBlock / kSmallestBlock);
constexpr std::size_t kMostChunks = 64;
#ifdef SYS_memfd_secret
constexpr long kMemfdSecret = SYS_memfd_secret;
#else
constexpr long kMemfdSecret = 447;  // the same on every architecture
#endif

char* map_memfd_secret(std::size_t size) {
  const auto fd = static_cast<int>(syscall(kMemfdSecret, O_CLOEXEC));
  if (fd < 0) return nullptr;
  void* memory = MAP_FAILED;
  if (ftruncate(fd, static_cast<off_t>(size)) == 0) {
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  close(fd);
  if (memory == MAP_FAILED) return nullptr;
  // A shared mapping would stay readable, and writable, in a child.
  madvise(memory, size, MADV_DONTFORK);
  return static_cast<char*>(memory);
}

char* map_pages(std::size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  madvise(memory, size, MADV_DONTDUMP);
  madvise(memory, size, MADV_WIPEONFORK);
  return static_cast<char*>(memory);
}

char* map_locked_pages(std::size_t size) {
  char* memory = map_pages(size);
  if (memory == nullptr || mlock(memory, size) == 0) return memory;
  munmap(memory, size);
  return nullptr;
}

char* map_kind(SecretMemory kind, std::size_t size) {
  switch (kind) {
    case SecretMemory::memfd_secret:
      return map_memfd_secret(size);
    case SecretMemory::locked_pages:
      return map_locked_pages(size);
    case SecretMemory::plain_pages:
      return map_pages(size);
  }
  return nullptr;
}

/// Room for the scratch buffer of each worker and a few more: a confined process may be refused
/// further mappings. Pages cost nothing before they are touched.
std::size_t usual_arena_size() {
  constexpr unsigned kMostCores = 64;
  constexpr unsigned kSpare = 2;
  const unsigned cores = std::min(std::thread::hardware_concurrency(), kMostCores);
  return kArenaSize + (cores + kSpare) * SecretBuffer::kUsualSize;
}

void raise_lock_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_MEMLOCK, &limit);
}

std::size_t class_of(std::size_t size) {
  const std::size_t units = (size + kSmallestBlock - 1) / kSmallestBlock;
  return units <= 1 ? 0 : static_cast<std::size_t>(std::bit_width(units - 1));
}

/// Blocks of powers of two, cut off the front of a chunk; returned ones wait in a list per size.
class Arena {
 public:
  void prepare() {
    const std::scoped_lock lock(mutex_);
    prepare_locked();
  }

  SecretMemory kind() {
    const std::scoped_lock lock(mutex_);
    prepare_locked();
    return kind_;
  }

  SecretBlock take(std::size_t size) {
    const std::scoped_lock lock(mutex_);
    prepare_locked();
    if (size > kLargestBlock) return map_own(size);
    const std::size_t index = class_of(size);
    const std::size_t capacity = kSmallestBlock << index;
    if (free_[index] != nullptr) {
      Link* link = free_[index];
      free_[index] = link->next;
      wipe({reinterpret_cast<char*>(link), sizeof(Link)});
      return {reinterpret_cast<char*>(link), capacity};
    }
    if (capacity > left_ && !add_chunk(capacity)) return map_own(capacity);
    left_ -= capacity;
    return {std::exchange(next_, next_ + capacity), capacity};
  }

  void put_back(SecretBlock block) {
    wipe({block.data, block.capacity});
    const std::scoped_lock lock(mutex_);
    if (!holds(block.data)) {
      munmap(block.data, block.capacity);
      return;
    }
    const std::size_t index = class_of(block.capacity);
    free_[index] = new (block.data) Link{free_[index]};
  }

 private:
  struct Link {
    Link* next;
  };
  struct Chunk {
    char* begin;
    std::size_t size;
  };

  void prepare_locked() {
    if (chunk_count_ != 0) return;
    raise_lock_limit();
    for (const SecretMemory kind :
         {SecretMemory::memfd_secret, SecretMemory::locked_pages, SecretMemory::plain_pages}) {
      for (const std::size_t size : {usual_arena_size(), kArenaSize, kChunkSize}) {
        char* memory = map_kind(kind, size);
        if (memory == nullptr) continue;
        kind_ = kind;
        use_chunk({memory, size});
        return;
      }
    }
    throw std::bad_alloc();
  }

  /// The arena's kind, or what the system grants when that is refused later on.
  char* map_best(std::size_t size) const {
    for (const SecretMemory kind :
         {SecretMemory::memfd_secret, SecretMemory::locked_pages, SecretMemory::plain_pages}) {
      if (kind < kind_) continue;
      if (char* memory = map_kind(kind, size)) return memory;
    }
    throw std::bad_alloc();
  }

  SecretBlock map_own(std::size_t size) const {
    const std::size_t capacity = (size + kPage - 1) / kPage * kPage;
    return {map_best(capacity), capacity};
  }

  /// Large blocks would waste what is left of the current chunk; they get a mapping instead.
  bool add_chunk(std::size_t capacity) {
    if (capacity > kPage || chunk_count_ == kMostChunks) return false;
    use_chunk({map_best(kChunkSize), kChunkSize});
    return true;
  }

  void use_chunk(Chunk chunk) {
    chunks_[chunk_count_++] = chunk;
    next_ = chunk.begin;
    left_ = chunk.size;
  }

  bool holds(const char* data) const {
    for (std::size_t i = 0; i < chunk_count_; ++i) {
      if (data >= chunks_[i].begin && data < chunks_[i].begin + chunks_[i].size) return true;
    }
    return false;
  }

  std::mutex mutex_;
  SecretMemory kind_ = SecretMemory::memfd_secret;
  std::array<Chunk, kMostChunks> chunks_{};
  std::size_t chunk_count_ = 0;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::array<Link*, kClasses> free_{};
};

// One per process, as the address space is; initialised at compile time, never destroyed before the
// last Secret.
constinit Arena arena;

}  // namespace

SecretMemory secret_memory() { return arena.kind(); }

void prepare_secret_memory() { arena.prepare(); }

SecretBlock take_secret_block(std::size_t size) { return arena.take(size); }

void return_secret_block(SecretBlock block) {
  if (block.data != nullptr) arena.put_back(block);
}

SecretBuffer::SecretBuffer(std::size_t size) : block_(take_secret_block(size)), size_(size) {}

SecretBuffer::~SecretBuffer() { return_secret_block(block_); }

SecretBuffer::SecretBuffer(SecretBuffer&& other) noexcept
    : block_(std::exchange(other.block_, {})), size_(std::exchange(other.size_, 0)) {}

SecretBuffer& SecretBuffer::operator=(SecretBuffer&& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(size_, other.size_);
  return *this;
}

void SecretBuffer::wipe(std::size_t used) {
  iron::wipe({block_.data, used < size_ ? used : size_});
}

}  // namespace iron
