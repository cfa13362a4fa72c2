#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "policy/match/ip_address.h"

namespace iron::proxy {

class Log;

/// Keeps a client that sends garbage from filling the log: ten records of refusals per client
/// address and second are written, the rest are counted and told in one record when the second is
/// over. Holds a bounded number of addresses; those beyond it share one allowance. Thread safe.
class RefusalLimiter {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::uint64_t kRecordsPerSecond = 10;
  static constexpr std::size_t kMaxClients = 4096;

  /// Whether the record of this refusal is to be written.
  bool admit(const policy::IpAddress& client, Clock::time_point now);

  struct Suppressed {
    std::string remote_addr;  ///< empty for the addresses beyond kMaxClients together
    std::uint64_t count;
  };
  /// The counts whose second is over; each is returned once. Call about once a second.
  std::vector<Suppressed> take_due(Clock::time_point now);
  /// Writes `refusals not recorded` for each of take_due().
  void report(Log& log, Clock::time_point now);

 private:
  struct Window {
    Clock::time_point begin;
    std::uint64_t count = 0;
  };
  bool admit_in(Window& window, const policy::IpAddress* client, Clock::time_point now);
  void close(const Window& window, const policy::IpAddress* client);
  void drop_old(Clock::time_point now);

  std::mutex mutex_;
  std::map<policy::IpAddress, Window> windows_;
  Window others_;
  Clock::time_point swept_{};
  std::vector<Suppressed> due_;
};

}  // namespace iron::proxy
