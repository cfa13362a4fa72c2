#include "proxy/exchange/upstreams.h"

#include <utility>

#include "proxy/exchange/site.h"

namespace iron::proxy {

Upstreams::Upstreams(Site& site,
                     ClientStream& client,
                     RequestState& state,
                     std::shared_ptr<const Snapshot> snapshot)
    : site_(site), client_(client), state_(state), snapshot_(std::move(snapshot)) {}

UpstreamStream* Upstreams::use(UpstreamPtr connection) {
  const FaultText faults = snapshot_->gives_keys() ? FaultText::fixed : FaultText::quoting;
  state_.upstream_address = connection->address;
  Http1Upstream& stream = stream_.emplace(std::move(connection), client_.client().upstream_slot(),
                                          site_.secret_pages(), site_.buffers(), faults);
  if (client_.logs_connection_in()) stream.belong_to_client();
  return &stream;
}

UpstreamStream* Upstreams::take_idle(Idle which, bool repeatable) {
  stream_.reset();
  UpstreamPool::make_key(state_.target, state_.pool_key);
  OwnUpstreams& own = client_.client().own_upstreams();
  UpstreamPtr idle;
  if (!own.empty()) idle = own.take(state_.pool_key, snapshot_);
  if (!idle && which == Idle::any) idle = site_.pool().take(state_.pool_key, !repeatable);
  return idle ? use(std::move(idle)) : nullptr;
}

Task<Result<UpstreamStream*>> Upstreams::dial() {
  const DialRequest request{snapshot_->deny_list, state_.target, state_.pool_key, client_,
                            state_.upstream_address};
  Result<UpstreamPtr> dialled = co_await site_.dialer().dial(client_.pause(), request);
  if (dialled.has_error()) co_return dialled.error();
  co_return use(std::move(*dialled));
}

void Upstreams::keep() {
  UpstreamPtr connection = stream_->take_reusable();
  stream_.reset();
  if (!connection) return;
  if (connection->belongs_to_client()) {
    client_.client().own_upstreams().keep(std::move(connection), snapshot_);
  } else if (snapshot_ == site_.snapshot()) {
    site_.pool().put(std::move(connection));
  }
}

}  // namespace iron::proxy
