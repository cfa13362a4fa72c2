#pragma once

#include <string>

#include "policy/match/deny_list.h"
#include "policy/result.h"
#include "policy/task.h"
#include "proxy/dns/local_lookups.h"
#include "proxy/net/own_addresses.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/net/upstream_tls.h"
#include "proxy/wait/abandonment.h"
#include "proxy/wait/later.h"

namespace iron::proxy {

/// What a dial needs to know; lives in the caller's frame.
struct DialRequest {
  const policy::DenyList& deny_list;
  const UpstreamTarget& target;
  const std::string& key;
  Abandonment& abandonment;
  /// Receives `ip:port` of the last address tried, also when all failed.
  std::string& address;
};

/// Connects the sessions of one worker to upstreams. Everything it is made of outlives it.
class Dialer {
 public:
  Dialer(dns::LocalLookups& lookups,
         UpstreamPool& pool,
         UpstreamTls& tls,
         const OwnAddresses& own_addresses)
      : lookups_(lookups), pool_(pool), tls_(tls), own_addresses_(own_addresses) {}

  /// Resolves, checks every address against the deny list, connects (the next address of a family
  /// and the other family start after 300 ms without success, RFC 8305), and for https runs the
  /// handshake. Error texts as docs/records.md has them; Fault::client_gone when abandoned. The
  /// check is made on the very endpoint that is passed to connect.
  Task<Result<UpstreamPtr>> dial(Pause& pause, const DialRequest& request);
  /// The TCP part alone, for pass-through sessions that bring their own TLS.
  Task<Result<UpstreamPtr>> dial_tcp(Pause& pause, const DialRequest& request);

 private:
  Task<Result<LookupOutcome>> resolve(Pause& pause,
                                      const DialRequest& request,
                                      Later<LookupOutcome>& found);
  Task<Result<const tls::UpstreamContext*>> context(Pause& pause, const DialRequest& request);
  Task<Result<void>> secure(Pause& pause, const DialRequest& request, UpstreamConnection& upstream);

  dns::LocalLookups& lookups_;
  UpstreamPool& pool_;
  UpstreamTls& tls_;
  const OwnAddresses& own_addresses_;
};

}  // namespace iron::proxy
