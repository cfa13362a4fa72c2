#pragma once

#include <string>
#include <string_view>

#include "proxy/http/body_filter.h"
#include "transforms/body_change.h"

namespace iron::proxy {

/// A request's body through what a transform makes of it. Nothing waits for its end: an origin that
/// has seen a part sees that it is cut.
class ChangedBody final : public BodyFilter {
 public:
  /// It outlives this object.
  explicit ChangedBody(transforms::BodyChange& change) : change_(change) {}

  bool may_cut() const override { return false; }
  Result<bool> body(std::string_view& data, std::string& out) override {
    const Result<void> taken = change_.feed(data, out);
    if (taken.has_error()) return taken.error();
    data = {};
    return true;
  }
  Result<void> end(std::string& out) override { return change_.end(out); }
  Result<void> trailers(std::string_view lines, std::string& out) override {
    out += lines;
    return {};
  }

 private:
  transforms::BodyChange& change_;
};

}  // namespace iron::proxy
