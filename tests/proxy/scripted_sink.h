#pragma once

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "proxy/log/log_sink.h"

namespace iron::proxy {

/// A sink of the log whose reader does what the test says. The script outlives the sink.
class ScriptedSink final : public LogSink {
 public:
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  struct Script {
    std::size_t room = kAll;  ///< bytes that are taken
    int error = EAGAIN;       ///< what comes then
    bool never_waits = true;
    std::string taken;
    int attempts = 0;
  };

  ScriptedSink(std::shared_ptr<Script> script, int descriptor)
      : script_(std::move(script)), descriptor_(descriptor) {}

  long write(std::string_view bytes) override {
    ++script_->attempts;
    if (script_->room == 0) return -script_->error;
    const std::size_t count = std::min(bytes.size(), script_->room);
    script_->taken += bytes.substr(0, count);
    if (script_->room != kAll) script_->room -= count;
    return static_cast<long>(count);
  }
  bool never_waits() const override { return script_->never_waits; }
  int descriptor() const override { return descriptor_; }

 private:
  std::shared_ptr<Script> script_;
  int descriptor_;
};

}  // namespace iron::proxy
