#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <string>

namespace iron::proxy::test {

/// What a log writes to.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("log", MFD_CLOEXEC)) { EXPECT_GE(descriptor_, 0); }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int descriptor() const { return descriptor_; }
  /// What was written since the last call.
  std::string take() {
    std::string text;
    std::array<char, 16384> bytes;
    while (true) {
      const auto got = ::pread(descriptor_, bytes.data(), bytes.size(), taken_);
      if (got <= 0) return text;
      text.append(bytes.data(), static_cast<std::size_t>(got));
      taken_ += got;
    }
  }

 private:
  int descriptor_;
  off_t taken_ = 0;
};

}  // namespace iron::proxy::test
