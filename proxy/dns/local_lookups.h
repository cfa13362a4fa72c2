#pragma once

#include <memory>
#include <string>

#include "proxy/dns/joined_lookups.h"
#include "proxy/dns/resolver.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy::dns {

/// The lookups of one worker, on the worker's own loop, so that they wake no other thread: one does
/// only where a file has to be read (Resolver::current()) or the C library asked. Answers of name
/// servers are kept (docs/dns.md, "Answers that are kept").
class LocalLookups {
 public:
  /// The loop and the resolver outlive it.
  LocalLookups(EventLoop& loop, Resolver& resolver);
  /// Lookups that are under way are not answered any more.
  ~LocalLookups();
  LocalLookups(const LocalLookups&) = delete;

  /// As Resolver::resolve(), but to be called on the loop's thread, where `done` is called too,
  /// maybe before this returns. An incomplete outcome is followed by a complete one.
  void lookup(const std::string& name, LookupDone done);
  /// What was answered before, or is answered to questions under way, is not used for later
  /// lookups.
  void forget_answers();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace iron::proxy::dns
