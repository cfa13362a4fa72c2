#pragma once

#include <string_view>

namespace iron::proxy {

/// One place that log lines leave to. Used by one thread at a time: who does is LineQueue's matter.
class LogSink {
 public:
  virtual ~LogSink() = default;
  /// Takes some bytes from the front of `bytes` and tells how many, or a negative errno. -EAGAIN:
  /// its reader does not read; poll descriptor().
  virtual long write(std::string_view bytes) = 0;
  /// Whether write() returns at once, so that a worker may call it. If not, somebody else's write
  /// to the same pipe can make ours wait, and the log's own thread has to do it.
  virtual bool never_waits() const = 0;
  virtual int descriptor() const = 0;
};

}  // namespace iron::proxy
