#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace iron::proxy {

/// While it lives, the process can open no descriptor, as at its RLIMIT_NOFILE.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    // The kernel gives out the lowest free one.
    const int free = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
    EXPECT_GE(free, 0);
    ::close(free);
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(free);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace iron::proxy
