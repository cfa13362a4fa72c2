#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "proxy/log/log_line.h"
#include "proxy/log/log_writer.h"

namespace iron::proxy {

/// The front of the operational log: a logger of spdlog, which decides by level, takes the time and
/// looks after errors, with one sink, which renders the line and puts it into the log's queue.
/// Request records do not come here. Nothing is formatted on the way, and nothing is allocated but
/// what a line needs that is longer than a thread keeps. Thread safe.
class LogFront {
 public:
  LogFront(LogWriter& writer, Level least);
  ~LogFront();
  LogFront(const LogFront&) = delete;

  /// A line for which there is no memory is counted as lost.
  void write(Level level, std::string_view message, std::span<const Attribute> attributes);
  /// See Log::prepare_thread().
  static void prepare_thread(std::string* records);

 private:
  class Logger;
  class Sink;
  struct Message;
  std::unique_ptr<Logger> logger_;
};

}  // namespace iron::proxy
