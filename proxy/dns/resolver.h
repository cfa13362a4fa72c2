#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "proxy/dns/joined_lookups.h"
#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/lookup_sources.h"

namespace iron::proxy {

/// Turns names into addresses, on a thread of its own (docs/dns.md, "Lookups"): the hosts file
/// first, then the configured name server, else those of resolv.conf, else the C library where
/// nsswitch.conf names sources that it alone knows. Never asks for what is not a domain name.
/// Thread safe.
class Resolver {
 public:
  struct Options {
    std::string upstream_resolver;  ///< `host:port`, or empty
    std::string resolv_conf = "/etc/resolv.conf";
    std::string hosts = "/etc/hosts";
    std::string nsswitch = "/etc/nsswitch.conf";
    std::chrono::milliseconds try_limit{5000}, total_limit{10000};
    /// How long a look at the files serves, and how often they are looked at while it does.
    std::chrono::milliseconds fresh{2000}, look_each{1000};
    /// Names under way, on whatever thread; how many wait for one of them does not count.
    int max_outstanding = 1024;
  };
  /// Reads the files; start() makes the thread.
  explicit Resolver(std::string upstream_resolver);
  explicit Resolver(Options options);
  /// Lookups that are under way are not answered any more.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Begins to answer; to be called once. Lookups asked for before wait.
  void start();

  using Names = dns::Names;
  /// `done` is called on the resolver's thread; it must not block. Once, unless the first outcome
  /// is incomplete: then once more. IPv4 addresses come first. Errors read `lookup NAME on SERVER:
  /// REASON`.
  void resolve(const std::string& name, Names names, dns::LookupDone done);

  using Sources = std::shared_ptr<const dns::LookupSources>;
  /// `done` is called on the resolver's thread, once, with what lookups go by now.
  void read(std::function<void(const Sources&)> done);
  /// Whether lookups go by `sources` as of a look at the files that still serves, so that nobody
  /// has to be asked. Being called keeps the resolver's thread looking at them, until ten looks
  /// after the last call.
  bool current(const dns::LookupSources& sources) const;

  /// `done` for a lookup made elsewhere, which counts as one under way until it is gone; null, and
  /// `done` was told why, if `max_outstanding` are.
  dns::LookupDone counted(const std::string& name, dns::LookupDone done);

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace iron::proxy
