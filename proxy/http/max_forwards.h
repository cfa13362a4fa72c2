#pragma once

#include <cstdint>
#include <optional>

#include "policy/http_message.h"

namespace iron::proxy {

/// How many proxies an OPTIONS or TRACE may still pass (RFC 9110 section 7.6.2). Nothing for other
/// methods, and without exactly one field of digits. What does not fit is the largest value.
std::optional<std::uint64_t> max_forwards(const Request& request);

/// The decimal text that replaces the field of `request`, for whom max_forwards() is not 0.
class FewerForwards {
 public:
  /// Points the field at one less. The object outlives the request.
  void apply(Request& request, std::uint64_t received);

 private:
  char text_[20] = {};
};

}  // namespace iron::proxy
