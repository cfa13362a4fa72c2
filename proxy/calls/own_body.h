#pragma once

#include <string_view>

#include "proxy/http/body_source.h"

namespace iron::proxy {

/// The body of a request of our own, all of it in memory from the start.
class OwnBody final : public BodySource {
 public:
  /// `bytes` stay where they are.
  explicit OwnBody(std::string_view bytes) : left_(bytes), size_(bytes.size()) {}

  Step read(std::string_view& bytes, From = From::peer) override {
    bytes = left_;
    return left_.empty() ? Step::ended : Step::bytes;
  }
  void consume(std::size_t count) override { left_.remove_prefix(count); }
  void drop() override { left_ = {}; }
  bool done() const override { return left_.empty(); }
  std::uint64_t remaining() const override { return left_.size(); }
  std::uint64_t size() const override { return size_ - left_.size(); }
  bool buffered() const override { return !left_.empty(); }
  Ahead look_ahead() const override { return Ahead::complete; }
  std::size_t take_arrived() override { return 0; }
  std::string_view problem() const override { return {}; }
  void keep_trailers() override {}
  std::string_view trailers() const override { return {}; }
  void end_bulk() override {}

 private:
  std::string_view left_;
  const std::size_t size_;
};

}  // namespace iron::proxy
