#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/match/ip_address.h"

namespace iron::proxy::dns {

/// What name servers answered, kept for the time to live of its records, which is a matter of
/// seconds here: a name that moves is followed soon, and a name server that lies is believed for no
/// longer than half a minute. Bounded; who was not asked for the longest time makes way. Knows
/// neither socket nor clock. Lives on one worker.
class AnswerCache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Addresses = std::vector<policy::IpAddress>;
  static constexpr std::size_t kMaxNames = 4096;
  /// Of all names together, as one answer may have hundreds.
  static constexpr std::size_t kMaxAddresses = 8 * kMaxNames;
  static constexpr std::chrono::seconds kLeast{1}, kMost{30};

  /// Keeps the addresses, those of one kind in front of the other's, in place of what was known of
  /// the name, for `ttl` within the bounds above. Names are told apart without regard to case. On
  /// std::bad_alloc what is known stays.
  void put(std::string_view name, Addresses addresses, std::chrono::seconds ttl, Time now);
  /// The addresses while they last: each kind begins with another one at each use, so that their
  /// hosts share the work.
  std::optional<Addresses> get(std::string_view name, Time now);
  void clear();
  std::size_t names() const { return entries_.size(); }
  std::size_t addresses() const { return addresses_; }

 private:
  struct Entry {
    std::string name;
    Addresses addresses;
    Time end;  ///< not used from then on
    std::size_t uses = 0;
  };
  using Entries = std::list<Entry>;
  void drop(Entries::iterator entry);

  Entries entries_;                                                 ///< last used in front
  std::unordered_map<std::string_view, Entries::iterator> places_;  ///< views of the names there
  std::size_t addresses_ = 0;
};

}  // namespace iron::proxy::dns
