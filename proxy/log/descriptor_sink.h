#pragma once

#include "proxy/log/log_sink.h"

namespace iron::proxy {

/// A file, pipe, terminal or socket. Never blocks on one that is not read.
class DescriptorSink final : public LogSink {
 public:
  enum class Ownership { borrowed, owned };
  DescriptorSink(int descriptor, Ownership ownership);
  ~DescriptorSink() override;
  DescriptorSink(const DescriptorSink&) = delete;
  DescriptorSink& operator=(const DescriptorSink&) = delete;

  long write(std::string_view bytes) override;
  bool never_waits() const override { return kind_ != Kind::polled; }
  int descriptor() const override { return descriptor_; }

 private:
  enum class Kind { plain, nonblocking, socket, nowait, polled };

  long write_some(std::string_view bytes);
  long write_without_waiting(std::string_view bytes);

  int descriptor_;
  bool owned_;
  Kind kind_ = Kind::plain;
};

}  // namespace iron::proxy
