#include "proxy/exchange/upstreams.h"

#include <string>
#include <string_view>
#include <utility>

#include "proxy/exchange/site.h"

namespace iron::proxy {

Upstreams::Upstreams(Site& site,
                     ClientStream& client,
                     RequestState& state,
                     std::shared_ptr<const Snapshot> snapshot)
    : site_(site), client_(client), state_(state), snapshot_(std::move(snapshot)) {}

void Upstreams::choose() {
  if (!snapshot_->parents.empty()) state_.parent = snapshot_->parents.of(state_.target);
}

bool Upstreams::forwards() const {
  return state_.parent != nullptr && state_.parent->speaks_http() && !state_.target.tls &&
         !state_.exchange.upgrade;
}

void Upstreams::make_key() {
  if (state_.parent == nullptr) {
    UpstreamPool::make_key(state_.target, state_.pool_key);
  } else {
    UpstreamPool::make_key(state_.target, *state_.parent, !forwards(), state_.pool_key);
  }
}

/// Who logged in at an origin did so for its requests only, whatever carries them.
std::string Upstreams::own_key() const {
  return form_ ? state_.pool_key + ' ' + form_->origin : state_.pool_key;
}

DialRequest Upstreams::dial_request(const ParentHop* hop) {
  return {
      snapshot_->deny_list, state_.target, state_.pool_key, client_, state_.upstream_address, hop};
}

void Upstreams::fill_form() {
  const UpstreamTarget& target = state_.target;
  ParentForm& form = form_.emplace();
  form.login = state_.parent->login();
  form.origin = "http://";
  form.origin += target.literal ? target.literal->text_with_port(target.port)
                                : target.host + ':' + std::to_string(target.port);
  constexpr std::string_view kUsualPort = ":80";
  if (target.port == 80) form.origin.resize(form.origin.size() - kUsualPort.size());
}

Task<Result<void>> Upstreams::admit() {
  const DialRequest asked = dial_request(nullptr);
  const policy::ProxyUrl& parent = *state_.parent;
  auto hop = co_await site_.target_check().admit(client_.pause(), asked, parent);
  if (hop.has_error()) co_return hop.error();
  hop->tunnel = !forwards();
  hop->handshake_timeout = snapshot_->config.proxy.limits.handshake_timeout;
  hop_ = *hop;
  state_.name_only = hop->name_only;
  if (forwards()) fill_form();
  co_return Result<void>();
}

UpstreamStream* Upstreams::use(UpstreamPtr connection) {
  const bool shows_login = form_ && form_->login != nullptr;
  const FaultText faults =
      snapshot_->gives_keys() || shows_login ? FaultText::fixed : FaultText::quoting;
  state_.upstream_address = connection->address;
  if (hop_) connection->name_only = hop_->name_only;
  state_.name_only = connection->name_only;
  Http1Upstream& stream = stream_.emplace(std::move(connection), client_.client().upstream_slot(),
                                          site_.secret_pages(), site_.buffers(), faults);
  if (client_.logs_connection_in()) stream.belong_to_client();
  return &stream;
}

UpstreamStream* Upstreams::take_idle(Idle which, bool repeatable) {
  stream_.reset();
  make_key();
  OwnUpstreams& own = client_.client().own_upstreams();
  UpstreamPtr idle;
  if (!own.empty()) idle = own.take(own_key(), snapshot_);
  if (!idle && which == Idle::any) idle = site_.pool().take(state_.pool_key, !repeatable);
  return idle ? use(std::move(idle)) : nullptr;
}

Task<Result<UpstreamStream*>> Upstreams::dial() {
  if (state_.parent != nullptr && !hop_) {
    const Result<void> admitted = co_await admit();
    if (admitted.has_error()) co_return admitted.error();
  }
  const DialRequest asked = dial_request(hop_ ? &*hop_ : nullptr);
  Result<UpstreamPtr> dialled = co_await site_.dialer().dial(client_.pause(), asked);
  if (dialled.has_error()) co_return dialled.error();
  co_return use(std::move(*dialled));
}

void Upstreams::keep() {
  UpstreamPtr connection = stream_->take_reusable();
  stream_.reset();
  if (!connection) return;
  if (connection->belongs_to_client()) {
    connection->key = own_key();
    client_.client().own_upstreams().keep(std::move(connection), snapshot_);
  } else if (snapshot_ == site_.snapshot()) {
    site_.pool().put(std::move(connection));
  }
}

}  // namespace iron::proxy
