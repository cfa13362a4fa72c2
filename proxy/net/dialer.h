#pragma once

#include <string>

#include "policy/result.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/run/snapshot.h"
#include "proxy/wait/task.h"

namespace iron::proxy {

/// Lets a wait for the upstream notice that nobody wants the answer any more.
class Abandonment {
 public:
  virtual ~Abandonment() = default;
  /// Asked at each wake; true: the client is gone.
  virtual bool abandoned() = 0;
};

/// What a dial needs to know; lives in the caller's frame.
struct DialRequest {
  const Snapshot& snapshot;
  const UpstreamTarget& target;
  const std::string& key;
  Abandonment& abandonment;
  /// Receives `ip:port` of the last address tried, also when all failed.
  std::string& address;
};

/// Resolves, checks every address against the deny list, connects (the next address of a family and
/// the other family start after 300 ms without success, RFC 8305), and for https runs the
/// handshake. Error texts as docs/records.md has them; Fault::client_gone when abandoned. The check
/// is made on the very endpoint that is passed to connect.
Task<Result<UpstreamPtr>> dial(Worker& worker, Pause& pause, const DialRequest& request);
/// The TCP part alone, for pass-through sessions that bring their own TLS.
Task<Result<UpstreamPtr>> dial_tcp(Worker& worker, Pause& pause, const DialRequest& request);

}  // namespace iron::proxy
