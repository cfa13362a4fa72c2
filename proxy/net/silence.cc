#include "proxy/net/silence.h"

#include <algorithm>

namespace iron::proxy {
std::string silence_text(std::string_view who, policy::Duration limit, std::string_view key) {
  return std::string(who) + " for " + policy::format_duration(limit) + " (proxy.limits." +
         std::string(key) + ")";
}

SteadyTime Silence::stalls_at(const Direction& direction) const {
  return direction.waits == Direction::Waits::for_room ? later(direction.moved, stall_)
                                                       : SteadyTime::max();
}

SteadyTime Silence::quiet_at(const Direction& up, const Direction& down) const {
  const bool awaited =
      up.waits == Direction::Waits::for_bytes || down.waits == Direction::Waits::for_bytes;
  return awaited ? later(std::max(up.moved, down.moved), quiet_) : SteadyTime::max();
}

SteadyTime Silence::deadline(const Direction& up, const Direction& down) const {
  return std::min({stalls_at(up), stalls_at(down), quiet_at(up, down)});
}

std::string Silence::text(const Direction& up, const Direction& down) const {
  const SteadyTime first = deadline(up, down);
  if (first == stalls_at(down)) return silence_text("client took no byte", stall_, "stall_timeout");
  if (first == stalls_at(up)) return silence_text("upstream took no byte", stall_, "stall_timeout");
  const bool of_client = up.waits == Direction::Waits::for_bytes;
  const bool of_upstream = down.waits == Direction::Waits::for_bytes;
  return silence_text(of_client && of_upstream ? "no byte from either side"
                      : of_client              ? "no byte from client"
                                               : "no byte from upstream",
                      quiet_, "quiet_timeout");
}

}  // namespace iron::proxy
