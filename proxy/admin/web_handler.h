#pragma once

#include <functional>
#include <string_view>

#include "proxy/admin/web_message.h"

namespace iron::proxy {

/// The pages of a listener: a request in, an answer out, no socket. Lives on one loop.
class WebHandler {
 public:
  using Tell = std::function<void(WebAnswer)>;
  struct Reply {
    WebAnswer answer;
    /// If set, the answer takes its time: this begins what makes it, and `Tell` is called with it,
    /// once, on any thread. `answer` is for the case that the process ends before.
    std::function<void(Tell)> later;
  };
  virtual ~WebHandler() = default;
  /// `remote`: the client's `ip:port`. The request is one that a WebServer has not refused: its
  /// target has a path, or is `*` with OPTIONS, or the method is CONNECT.
  virtual Reply serve(const WebRequest& request, std::string_view remote) = 0;
};

}  // namespace iron::proxy
