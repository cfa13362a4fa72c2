#pragma once

#include <functional>
#include <string>

namespace iron::proxy {

/// Who reads the configuration again when the management page asks for it.
class Reload {
 public:
  struct Outcome {
    int status = 200;   ///< 200, 422 or 500
    std::string error;  ///< of a refused configuration
  };
  virtual ~Reload() = default;
  /// Queues a reload; `done` is called on any thread.
  virtual void request(std::function<void(Outcome)> done) = 0;
};

}  // namespace iron::proxy
