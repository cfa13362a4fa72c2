#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>

#include "policy/match/deny_list.h"
#include "policy/match/proxy_url.h"
#include "policy/result.h"
#include "policy/task.h"
#include "proxy/dns/local_lookups.h"
#include "proxy/net/dialer.h"
#include "proxy/net/own_addresses.h"

namespace iron::proxy {

/// The deny list and the own-listener rule for targets that a parent proxy connects to, so that a
/// sandbox cannot have it reach what it may not reach itself (docs/policy.md, "Behind a parent
/// proxy"). One for each worker; the lookups and addresses outlive it.
class TargetCheck {
 public:
  TargetCheck(dns::LocalLookups& lookups, const OwnAddresses& own_addresses)
      : lookups_(lookups), own_addresses_(own_addresses) {}

  /// The way to the target of `request` through `parent`, before anyone is contacted: a literal is
  /// checked, and of a name every address. A name that nobody here can resolve passes with
  /// `name_only`; that takes two seconds at most, and is remembered for half a minute.
  Task<Result<ParentHop>> admit(Pause& pause,
                                const DialRequest& request,
                                const policy::ProxyUrl& parent);
  /// What failed before may be there now.
  void forget() { failed_.clear(); }

 private:
  std::optional<Error> refusal(const DialRequest& request, const policy::IpAddress& address) const;
  std::optional<Error> refusal_by_name(const DialRequest& request) const;
  bool failed_lately(const std::string& name, SteadyTime now);
  void note_failure(const std::string& name, SteadyTime now);
  Task<Result<ParentHop>> admit_name(Pause& pause, const DialRequest& request, ParentHop hop);

  dns::LocalLookups& lookups_;
  const OwnAddresses& own_addresses_;
  std::unordered_map<std::string, SteadyTime> failed_;  ///< until when
};

}  // namespace iron::proxy
