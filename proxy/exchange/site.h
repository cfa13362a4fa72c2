#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "proxy/dns/local_lookups.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/http1/secret_pages.h"
#include "proxy/log/recorder.h"
#include "proxy/net/dialer.h"
#include "proxy/net/target_check.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/wait/buffers.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// What the sessions of one worker live from. A connection lives and dies on its worker; everything
/// here is touched by that worker's thread alone.
class Site {
 public:
  /// `share`: number of workers among which process-wide pool limits are divided. The services and
  /// the clock outlive it.
  Site(Services& services,
       std::shared_ptr<const Snapshot> snapshot,
       int share,
       const Clock& clock = Clock::system());
  ~Site();
  Site(const Site&) = delete;

  EventLoop& loop() { return loop_; }
  Services& services() { return services_; }
  Log& log() { return services_.log; }
  BufferPool& buffers() { return buffers_; }
  UpstreamPool& pool() { return pool_; }
  Dialer& dialer() { return dialer_; }
  TargetCheck& target_check() { return target_check_; }
  Recorder& recorder() { return recorder_; }

  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot);
  /// What the supplies of the pipeline have, if they have anything.
  transforms::ValuesPtr values(const transforms::Pipeline& pipeline) const {
    return values_of_.get() == &pipeline ? values_ : nullptr;
  }
  /// Those of a pipeline that is not known here yet, or no more, are not lost: a reload reaches the
  /// workers one by one.
  void set_values(std::shared_ptr<const transforms::Pipeline> pipeline,
                  transforms::ValuesPtr values);

  SecretPages& secret_pages() { return secret_pages_; }
  /// State of one request, with warm capacities.
  RequestStatePtr take_request_state();

  /// Sessions that live here, for the drain.
  std::size_t session_count() const { return session_count_; }
  void session_started() { ++session_count_; }
  void session_ended();
  /// Called once, when the drain has begun and the last session has ended.
  void on_idle(std::function<void()> action) { on_idle_ = std::move(action); }
  /// Stop accepting work: idle sessions end now, others after their request.
  void begin_drain();

 private:
  friend struct RequestStateReturn;
  void report_idle();

  EventLoop loop_;
  Services& services_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<const transforms::Pipeline> values_of_;
  transforms::ValuesPtr values_;
  BufferPool buffers_;
  UpstreamPool pool_;
  dns::LocalLookups lookups_;
  Dialer dialer_;
  TargetCheck target_check_;
  SecretPages secret_pages_;
  std::vector<std::unique_ptr<RequestState>> request_states_;
  Recorder recorder_;
  std::function<void()> on_idle_;
  std::size_t session_count_ = 0;
};

}  // namespace iron::proxy
