#pragma once

#include <memory>
#include <string>
#include <utility>

#include "policy/match/proxy_url.h"
#include "policy/secret/secret.h"
#include "proxy/log/recorder.h"
#include "proxy/net/upstream_pool.h"
#include "transforms/exchange.h"

namespace iron::proxy {

class Site;

/// What one request needs beyond its buffers; pooled per worker so that a steady request allocates
/// nothing.
struct RequestState {
  transforms::Exchange exchange;
  Response response;
  UpstreamTarget target;
  std::string pool_key;
  std::string upstream_address;
  const policy::ProxyUrl* parent = nullptr;  ///< of the snapshot: what the request goes through
  bool name_only = false;                    ///< that target was not checked: nobody knows its name
  std::string
      answer_head;  ///< head for the client, with the first body bytes; may hold an echoed key

  /// Ready for the next request, which may be another client's: keeps capacities, forgets all else.
  void reset() {
    exchange.reset();
    response.status = 0;
    response.minor_version = 1;
    response.reason = {};
    response.headers.clear();
    target.tls = false;
    target.host.clear();
    target.literal.reset();
    target.port = 0;
    pool_key.clear();
    upstream_address.clear();
    parent = nullptr;
    name_only = false;
    wipe({answer_head.data(), answer_head.size()});
    answer_head.clear();
  }
};

/// What a record says of the way through a parent proxy.
inline void add_parent(Traffic& traffic, const RequestState& state) {
  traffic.name_only = state.name_only;
  if (state.parent != nullptr) traffic.upstream_proxy = state.parent->text();
}

/// Gives the state back to its worker's pool.
struct RequestStateReturn {
  Site* site = nullptr;
  void operator()(RequestState* state) const;
};
using RequestStatePtr = std::unique_ptr<RequestState, RequestStateReturn>;

}  // namespace iron::proxy
