#pragma once

namespace iron::proxy {

/// Lets a wait for the upstream notice that nobody wants the answer any more.
class Abandonment {
 public:
  virtual ~Abandonment() = default;
  /// Asked at each wake; true: the client is gone.
  virtual bool abandoned() = 0;
};

}  // namespace iron::proxy
