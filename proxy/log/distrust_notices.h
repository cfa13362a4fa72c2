#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "policy/match/ip_address.h"
#include "proxy/log/rate_limit.h"

namespace iron::proxy {

/// Decides which clients that refuse our certificates are told of in the log: each pair of client
/// address and host once in ten minutes, ten records a second at most. A client that tries again
/// and again, or under names without end, neither fills the log nor takes memory: 1,024 pairs are
/// remembered, the least recently seen goes first. Thread safe.
class DistrustNotices {
 public:
  using Clock = RateLimit::Clock;
  static constexpr std::size_t kPairs = 1024;
  static constexpr std::chrono::minutes kSilence{10};

  /// Whether to write the record. A pair whose record the limit holds back is not remembered: the
  /// next time counts as its first.
  bool admit(const policy::IpAddress& client, const std::string& host, Clock::time_point now);

 private:
  using Pair = std::pair<policy::IpAddress, std::string>;
  struct Notice {
    Clock::time_point written;
    std::uint64_t seen = 0;  ///< a number that grows with each sight of any pair
  };
  void forget_oldest();

  std::mutex mutex_;
  std::map<Pair, Notice> notices_;
  std::uint64_t sights_ = 0;
  RateLimit limit_;
};

}  // namespace iron::proxy
