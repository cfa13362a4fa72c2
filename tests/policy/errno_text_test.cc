#include "policy/errno_text.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace iron::policy {
namespace {

TEST(ErrnoText, IsTheSystemsInLowerCase) {
  const struct {
    int error;
    const char* text;
  } rows[] = {
      {ENOENT, "no such file or directory"},
      {EACCES, "permission denied"},
      {EEXIST, "file exists"},
      {EMFILE, "too many open files"},
      {ECONNREFUSED, "connection refused"},
      {EADDRINUSE, "address already in use"},
      {EREMOTEIO, "remote i/o error"},
      {EIO, "input/output error"},
      {ENETUNREACH, "network is unreachable"},
      {12345, "unknown error 12345"},
  };
  for (const auto& row : rows) EXPECT_EQ(errno_text(row.error), row.text);
}

}  // namespace
}  // namespace iron::policy
