#pragma once

#include <string>

#include "policy/duration.h"
#include "proxy/wait/pause.h"

namespace iron::proxy {

/// One direction of an exchange, as far as a limit on its silence is concerned.
struct Direction {
  enum class Waits { ended, for_bytes, for_room } waits = Waits::ended;
  SteadyTime moved{};  ///< when its last byte came or left
};

/// How long the two sides of an exchange may do nothing (docs/configuration.md, `stall_timeout` and
/// `quiet_timeout`): a peer that does not take what is there for it for `stall`; no byte in either
/// direction while one still waits for some for `quiet`. Decides only.
class Silence {
 public:
  Silence(policy::Duration stall, policy::Duration quiet) : stall_(stall), quiet_(quiet) {}
  /// `up`: from client to upstream, `down`: back. SteadyTime::max(): none.
  SteadyTime deadline(const Direction& up, const Direction& down) const;
  /// What the record says once deadline() has passed: who was silent, and the key that says how
  /// long it may be.
  std::string text(const Direction& up, const Direction& down) const;

 private:
  SteadyTime stalls_at(const Direction& direction) const;
  SteadyTime quiet_at(const Direction& up, const Direction& down) const;
  policy::Duration stall_, quiet_;
};

/// `no byte from client for 1m0s (proxy.limits.stall_timeout)`.
std::string silence_text(std::string_view who, policy::Duration limit, std::string_view key);

}  // namespace iron::proxy
