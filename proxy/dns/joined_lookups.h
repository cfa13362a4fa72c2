#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/dns/lookup_outcome.h"

namespace iron::proxy::dns {

using LookupDone = std::function<void(LookupOutcome)>;

/// Tells `done` the outcome, or that memory ran out where it does for that: someone waits for it.
void tell(const LookupDone& done, const LookupOutcome& outcome);

/// Passes one complete outcome on, and an incomplete one before it. When it goes without one,
/// because memory ran out on the way, it says so, for someone waits; unless `ending` is set and
/// nobody does.
class LookupOnce {
 public:
  LookupOnce(const std::atomic<bool>& ending, LookupDone done)
      : ending_(ending), done_(std::move(done)) {}
  LookupOnce(const LookupOnce&) = delete;
  ~LookupOnce();
  void pass(LookupOutcome outcome);

 private:
  const std::atomic<bool>& ending_;
  LookupDone done_;
};

/// The lookups of one event loop: those who wait for the same name share one. Who comes when it has
/// told an incomplete outcome is told that one at once.
class JoinedLookups : public std::enable_shared_from_this<JoinedLookups> {
 public:
  /// Calls `ask`, unless somebody waits for `key` already. `done` is called with one complete
  /// outcome, and maybe with an incomplete one before it, maybe before this returns.
  void join_or_ask(const std::string& key,
                   LookupDone done,
                   const std::function<void(LookupDone)>& ask);
  /// From now on nobody is told anything. Thread safe.
  void end() { ending_ = true; }

 private:
  struct Waiters {
    std::vector<LookupDone> all;
    std::optional<LookupOutcome> known;  ///< the incomplete outcome
  };
  void answer_all(const std::string& key, const LookupOutcome& outcome);

  std::atomic<bool> ending_{false};
  std::unordered_map<std::string, Waiters> waiting_;
};

}  // namespace iron::proxy::dns
