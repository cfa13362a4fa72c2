#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "policy/match/deny_list.h"
#include "policy/match/ip_address.h"
#include "policy/match/proxy_url.h"
#include "policy/result.h"
#include "policy/task.h"
#include "proxy/dns/local_lookups.h"
#include "proxy/net/own_addresses.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/net/upstream_tls.h"
#include "proxy/wait/abandonment.h"
#include "proxy/wait/later.h"

namespace iron::proxy {

/// The error of what has a parent proxy whose URL cannot be used.
inline constexpr std::string_view kUnsupportedParent = "proxyconnect tcp: unsupported proxy URL";

/// A dial by way of a parent proxy. For proxied traffic TargetCheck::admit() makes it: a dial does
/// not look at the address of what the parent connects to.
struct ParentHop {
  const policy::ProxyUrl* url = nullptr;  ///< outlives the dial
  /// What follows is a tunnel to the target; false: requests to the parent itself.
  bool tunnel = true;
  /// Of a named target, an address that was checked: `socks5` gets it instead of the name.
  std::optional<policy::IpAddress> checked{};
  /// Nobody here knows the name: its addresses were not checked.
  bool name_only = false;
  /// Of its TLS, and again of CONNECT or SOCKS.
  std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(10);
};

/// What a dial needs to know; lives in the caller's frame.
struct DialRequest {
  /// Of the addresses dialled; a parent's is not looked up in it, since the operator named it.
  const policy::DenyList& deny_list;
  const UpstreamTarget& target;
  const std::string& key;
  Abandonment& abandonment;
  /// Receives `ip:port` of the last address tried, also when all failed.
  std::string& address;
  const ParentHop* parent = nullptr;  ///< null: directly
  /// In the place of the usual settings; such a connection neither resumes sessions nor leaves any.
  const tls::UpstreamContext* context = nullptr;
  /// In the place of the target's host, for SNI and verification; empty: that.
  std::string server_name = {};
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
  /// check is made on the very endpoint that is passed to connect. With a parent all this is how
  /// the parent is reached, and the handshake for https runs in the tunnel.
  Task<Result<UpstreamPtr>> dial(Pause& pause, const DialRequest& request);
  /// The TCP part alone, for pass-through sessions that bring their own TLS.
  Task<Result<UpstreamPtr>> dial_tcp(Pause& pause, const DialRequest& request);
  /// The usual settings, once they are loaded.
  Task<Result<const tls::UpstreamContext*>> context(Pause& pause, const DialRequest& request);

 private:
  struct Handshake {
    std::chrono::nanoseconds timeout;
    bool asks_for_http1 = false;
  };
  Task<Result<LookupOutcome>> resolve(Pause& pause,
                                      const DialRequest& request,
                                      Later<LookupOutcome>& found);
  Task<Result<void>> secure(Pause& pause,
                            const DialRequest& request,
                            UpstreamConnection& upstream,
                            Handshake handshake);
  Task<Result<UpstreamPtr>> dial_parent(Pause& pause, const DialRequest& request);

  dns::LocalLookups& lookups_;
  UpstreamPool& pool_;
  UpstreamTls& tls_;
  const OwnAddresses& own_addresses_;
};

}  // namespace iron::proxy
