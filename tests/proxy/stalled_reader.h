#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>

namespace iron::proxy {

/// Where a log writes to that nobody reads: a pipe that is full.
class StalledReader {
 public:
  StalledReader() {
    if (::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("no pipe");
    const int size = ::fcntl(ends_[1], F_SETPIPE_SZ, 4096);
    const std::string full(static_cast<std::size_t>(size), '.');
    if (::write(ends_[1], full.data(), full.size()) != size) throw std::runtime_error("no room");
  }
  ~StalledReader() {
    for (const int end : ends_) ::close(end);
  }
  StalledReader(const StalledReader&) = delete;
  StalledReader& operator=(const StalledReader&) = delete;

  /// To be closed by whoever takes it.
  int give_away() const { return ::fcntl(ends_[1], F_DUPFD_CLOEXEC, 0); }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace iron::proxy
