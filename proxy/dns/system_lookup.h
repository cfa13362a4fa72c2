#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxy/dns/lookup_outcome.h"

namespace iron::proxy::dns {

/// Asks the C library, which blocks: on a few threads that come when needed and go when idle.
/// Ending it does not wait for lookups that still block. Thread safe.
class SystemLookups {
 public:
  static constexpr std::size_t kMaxThreads = 8;
  static constexpr std::size_t kMaxQueued = 1024;

  SystemLookups();
  ~SystemLookups();
  SystemLookups(const SystemLookups&) = delete;
  SystemLookups& operator=(const SystemLookups&) = delete;

  using Done = std::function<void(LookupOutcome)>;
  /// `done` is called on one of the threads, or not at all if this object ends before. False if too
  /// many wait. `name` is asked for, `shown` stands in errors.
  bool start(std::string name, std::string shown, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The blocking call itself. Names that the C library would read as an address do not exist.
LookupOutcome system_lookup(const std::string& name, const std::string& shown);

}  // namespace iron::proxy::dns
