#include "proxy/exchange/site.h"

#include <utility>

namespace iron::proxy {
namespace {
constexpr std::size_t kRequestStatesKept = 64;
}  // namespace

Site::Site(Services& services,
           std::shared_ptr<const Snapshot> snapshot,
           int share,
           const Clock& clock)
    : loop_(clock),
      services_(services),
      snapshot_(std::move(snapshot)),
      pool_(loop_, services.idle_upstreams, share),
      lookups_(loop_, services.resolver),
      dialer_(lookups_, pool_, services.upstream_tls, services.own_addresses),
      target_check_(lookups_, services.own_addresses),
      recorder_(services.log, services.record_ids, services.refusals, loop_) {
  // They come back where nothing may be thrown.
  request_states_.reserve(kRequestStatesKept);
}

Site::~Site() = default;

void Site::set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
  const auto old = std::exchange(snapshot_, std::move(snapshot));
  if (values_of_ == old->pipeline) {
    values_of_.reset();
    values_.reset();
  }
  pool_.clear();
  lookups_.forget_answers();
  target_check_.forget();
}

void Site::set_values(std::shared_ptr<const transforms::Pipeline> pipeline,
                      transforms::ValuesPtr values) {
  // Late ones of the pipeline before must not take the place of the present one's.
  if (values_of_ == snapshot_->pipeline && pipeline != snapshot_->pipeline) return;
  values_of_ = std::move(pipeline);
  values_ = std::move(values);
}

RequestStatePtr Site::take_request_state() {
  RequestStatePtr state(nullptr, {this});
  if (request_states_.empty()) {
    state.reset(new RequestState);
  } else {
    state.reset(request_states_.back().release());
    request_states_.pop_back();
  }
  recorder_.batch().request_began();
  return state;
}

void RequestStateReturn::operator()(RequestState* state) const {
  state->reset();
  site->recorder_.batch().request_ended();
  auto& kept = site->request_states_;
  if (kept.size() < kRequestStatesKept) {
    kept.emplace_back(state);
  } else {
    delete state;
  }
}

void Site::session_ended() {
  --session_count_;
  services_.released.fetch_add(1, std::memory_order_relaxed);
  report_idle();
}

void Site::report_idle() {
  if (session_count_ == 0 && loop_.draining() && on_idle_) std::exchange(on_idle_, nullptr)();
}

void Site::begin_drain() {
  loop_.begin_drain();
  pool_.clear();
  report_idle();
}

}  // namespace iron::proxy
