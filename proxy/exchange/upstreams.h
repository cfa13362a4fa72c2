#pragma once

#include <memory>
#include <optional>
#include <string>

#include "policy/result.h"
#include "policy/task.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/http/client_stream.h"
#include "proxy/http1/http1_upstream.h"
#include "proxy/net/dialer.h"

namespace iron::proxy {

class Site;

/// Finds the connection that one request goes by, and gives it back: one of the client's own, an
/// idle one of all, or a new one. The one place that knows which protocol an upstream speaks.
class Upstreams {
 public:
  /// All outlive it; `state` has the target and receives the upstream's address.
  Upstreams(Site& site,
            ClientStream& client,
            RequestState& state,
            std::shared_ptr<const Snapshot> snapshot);
  Upstreams(const Upstreams&) = delete;

  /// Decides whether the target, which is known now, is reached by way of a parent proxy.
  void choose();
  /// Requests to the target are sent to a parent proxy as they are, on connections that requests to
  /// any target share: each has to be admitted. Else only what dials is.
  bool forwards() const;
  /// Whether that parent may be asked for the target; TargetCheck::admit() tells the errors.
  Task<Result<void>> admit();
  /// How the head of such a request looks; null: it goes to the origin itself, or in a tunnel.
  const ParentForm* parent_form() const { return form_ ? &*form_ : nullptr; }

  enum class Idle {
    any,
    own,  ///< of this client alone
  };
  /// An idle connection that looks alive, or null. `repeatable`: the request can be sent twice, so
  /// nobody need be asked. The stream lives until the next call, keep() or drop().
  UpstreamStream* take_idle(Idle which, bool repeatable);
  /// A new one; Dialer::dial() tells the errors.
  Task<Result<UpstreamStream*>> dial();
  /// The exchange is over: whose next request the connection may carry, anybody's, this client's,
  /// or nobody's, for a reload may have forbidden its address meanwhile.
  void keep();
  /// Closes the connection.
  void drop() { stream_.reset(); }

 private:
  UpstreamStream* use(UpstreamPtr connection);
  void make_key();
  std::string own_key() const;
  DialRequest dial_request(const ParentHop* hop);
  void fill_form();

  Site& site_;
  ClientStream& client_;
  RequestState& state_;
  const std::shared_ptr<const Snapshot> snapshot_;
  std::optional<ParentHop> hop_;  ///< of what was admitted
  std::optional<ParentForm> form_;
  std::optional<Http1Upstream> stream_;
};

}  // namespace iron::proxy
