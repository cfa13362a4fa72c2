#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "policy/secret/secret_arena.h"
#include "proxy/dns/local_lookups.h"
#include "proxy/exchange/request_state.h"
#include "proxy/log/recorder.h"
#include "proxy/wait/buffers.h"
#include "proxy/wait/intrusive_list.h"
#include "proxy/wait/loop.h"
#include "proxy/wait/pause.h"

namespace iron::proxy {

class UpstreamPool;
struct Services;
struct Snapshot;

/// One thread with one loop. A connection lives and dies on its worker; everything here is touched
/// by that thread alone, except post() and the constructor's references.
class Worker {
 public:
  /// `share`: number of workers among which process-wide pool limits are divided.
  Worker(Services& services, std::shared_ptr<const Snapshot> snapshot, int share);
  ~Worker();
  Worker(const Worker&) = delete;

  void run();  ///< the thread's body; returns after stop()
  /// Runs `action` on the worker's thread. Thread safe.
  template <class Action>
  void post(Action action) {
    // Someone waits for what is posted: without memory it is posted late, not never.
    const auto held = with_patience([&] { return std::make_shared<Action>(std::move(action)); });
    with_patience([&] { boost::asio::post(context_, [held] { (*held)(); }); });
  }

  boost::asio::io_context& context() { return context_; }
  Services& services() { return services_; }
  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot);
  BufferPool& buffers() { return buffers_; }
  UpstreamPool& pool() { return *pool_; }
  dns::LocalLookups& lookups() { return lookups_; }

  /// Secret pages to compose an upstream head in; give it back with return_scratch.
  std::unique_ptr<SecretBuffer> take_scratch();
  void return_scratch(std::unique_ptr<SecretBuffer> scratch);
  /// State of one request, with warm capacities.
  RequestStatePtr take_request_state();
  Recorder& recorder() { return recorder_; }

  /// Sessions that live on this worker, for the drain.
  std::size_t session_count() const { return session_count_; }
  void session_started() { ++session_count_; }
  void session_ended();
  /// Called on this worker when the last session ends while draining.
  void on_idle(std::function<void()> action) { on_idle_ = std::move(action); }

  /// Stop accepting work: idle sessions end now, others after their request.
  void begin_drain();
  bool draining() const { return draining_; }
  /// Everything ends now.
  void cut_all();
  bool cut() const { return cut_; }
  void stop();

 private:
  friend class Pause;
  friend struct RequestStateReturn;
  void wake_all();
  void report_idle();
  void schedule_tick(SteadyTime when);
  void tick();
  void pass_turn(Pause& pause);
  void next_turn();

  std::shared_ptr<HandlerMemory> tick_memory_ = std::make_shared<HandlerMemory>();
  // Sockets are touched by this worker alone; only posts come from other threads.
  boost::asio::io_context context_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  Services& services_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<HandlerMemory> turn_memory_ = std::make_shared<HandlerMemory>();
  IntrusiveList<Pause> pauses_;
  IntrusiveList<Pause> passed_;  ///< gave their turn to the others
  SteadyTime next_tick_ = SteadyTime::max();
  BufferPool buffers_;
  std::unique_ptr<UpstreamPool> pool_;
  dns::LocalLookups lookups_;
  std::vector<std::unique_ptr<SecretBuffer>> scratch_;
  std::vector<std::unique_ptr<RequestState>> request_states_;
  Recorder recorder_;
  std::function<void()> on_idle_;
  std::size_t session_count_ = 0;
  bool draining_ = false;
  bool cut_ = false;
};

}  // namespace iron::proxy
