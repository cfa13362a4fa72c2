#include "proxy/run/worker.h"

#include <algorithm>

#include "proxy/net/upstream_pool.h"
#include "proxy/run/services.h"
#include "proxy/run/snapshot.h"
#include "proxy/wait/task.h"

namespace iron::proxy {
namespace {
constexpr auto kLongestTick = std::chrono::milliseconds(250);
constexpr unsigned kLongSleepTicks = 2;
constexpr auto kTickGrain = std::chrono::milliseconds(10);
constexpr std::size_t kScratchKept = 2;
constexpr std::size_t kScratchSize = 64 * 1024;
constexpr std::size_t kRequestStatesKept = 64;
}  // namespace

Pause::Pause(Worker& worker) : worker_(worker) { worker.pauses_.push_back(*this); }
Pause::~Pause() = default;

void Pause::wake() {
  if (waiting_) {
    std::exchange(waiting_, {}).resume();
  } else {
    signalled_ = true;
  }
}

void Pause::set_deadline(SteadyTime when) {
  deadline_ = when;
  expired_ = false;
  if (when < worker_.next_tick_) worker_.schedule_tick(when);
}

void Pause::set_timeout(std::chrono::nanoseconds from_now) {
  set_deadline(later(std::chrono::steady_clock::now(), from_now));
}

Pause& Pause::pass_turn() {
  worker_.pass_turn(*this);
  return *this;
}

void Pause::clear_deadline() {
  deadline_ = SteadyTime::max();
  expired_ = false;
}

Worker::Worker(Services& services, std::shared_ptr<const Snapshot> snapshot, int share)
    : work_(boost::asio::make_work_guard(context_)),
      timer_(context_),
      services_(services),
      snapshot_(std::move(snapshot)),
      pool_(std::make_unique<UpstreamPool>(*this, share)),
      lookups_(context_, services.resolver, [this](auto action) { post(std::move(action)); }),
      recorder_(services.log, services.record_ids, services.refusals, context_) {
  // They come back where nothing may be thrown.
  request_states_.reserve(kRequestStatesKept);
  scratch_.reserve(kScratchKept);
}

Worker::~Worker() = default;

void Worker::run() {
  // Thread-local objects are registered now: the C library aborts when it has no memory for that
  // later.
  detail::release_frame(detail::allocate_frame(1), 1);
  services_.log.prepare_thread(&recorder_.batch().lines());
  run_loop(context_, [this] { services_.log.session_failed(std::current_exception()); });
  recorder_.batch().close();
  services_.log.prepare_thread();
}

void Worker::stop() {
  pool_->clear();
  timer_.cancel();
  work_.reset();
  context_.stop();
}

void Worker::set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  pool_->clear();
}

std::unique_ptr<SecretBuffer> Worker::take_scratch() {
  if (scratch_.empty()) return std::make_unique<SecretBuffer>(kScratchSize);
  auto scratch = std::move(scratch_.back());
  scratch_.pop_back();
  return scratch;
}

void Worker::return_scratch(std::unique_ptr<SecretBuffer> scratch) {
  if (scratch_.size() < kScratchKept && scratch->size() == kScratchSize) {
    scratch_.push_back(std::move(scratch));
  }
}

RequestStatePtr Worker::take_request_state() {
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
  worker->recorder_.batch().request_ended();
  auto& kept = worker->request_states_;
  if (kept.size() < kRequestStatesKept) {
    kept.emplace_back(state);
  } else {
    delete state;
  }
}

void Worker::session_ended() {
  --session_count_;
  services_.released.fetch_add(1, std::memory_order_relaxed);
  report_idle();
}

/// Once, when the drain has begun and nothing is left.
void Worker::report_idle() {
  if (session_count_ == 0 && draining_ && on_idle_) std::exchange(on_idle_, nullptr)();
}

void Worker::begin_drain() {
  draining_ = true;
  pool_->clear();
  wake_all();
  report_idle();
}

void Worker::cut_all() {
  cut_ = true;
  wake_all();
}

void Worker::wake_all() {
  // A woken session may end and take others' pauses with it, so the ring is moved aside and emptied
  // from the front.
  IntrusiveList<Pause> sleeping;
  while (Pause* pause = pauses_.front()) sleeping.push_back(*pause);
  while (Pause* pause = sleeping.front()) {
    pauses_.push_back(*pause);
    pause->wake();
  }
}

/// Behind everything that is ready now, and behind one look at the sockets.
void Worker::pass_turn(Pause& pause) {
  const bool arranged = !passed_.empty();
  passed_.push_back(pause);
  if (arranged) return;
  boost::asio::post(context_, in_memory(turn_memory_, [this] { next_turn(); }));
}

void Worker::next_turn() {
  IntrusiveList<Pause> due;
  while (Pause* pause = passed_.front()) due.push_back(*pause);
  while (Pause* pause = due.front()) {
    pauses_.push_back(*pause);
    if (pause->deadline_ < next_tick_) schedule_tick(pause->deadline_);
    pause->wake();
  }
}

void Worker::schedule_tick(SteadyTime when) {
  const auto now = std::chrono::steady_clock::now();
  next_tick_ = std::clamp<SteadyTime>(when, now + kTickGrain, now + kLongestTick);
  timer_.expires_at(next_tick_);
  timer_.async_wait(in_memory(tick_memory_, [this](const boost::system::error_code& error) {
    if (!error) tick();
  }));
}

void Worker::tick() {
  const auto now = std::chrono::steady_clock::now();
  next_tick_ = SteadyTime::max();
  IntrusiveList<Pause> due;
  SteadyTime earliest = SteadyTime::max();
  for (Pause* pause = pauses_.front(); pause != nullptr;) {
    Pause* following = pauses_.after(*pause);
    if (pause->deadline_ <= now) {
      pause->expired_ = true;
      pause->deadline_ = SteadyTime::max();
      due.push_back(*pause);
    } else {
      earliest = std::min(earliest, pause->deadline_);
      if (pause->waiting_ && ++pause->ticks_slept_ == kLongSleepTicks &&
          pause->long_sleep_ != nullptr) {
        pause->long_sleep_->on_long_sleep();
        services_.released.fetch_add(1, std::memory_order_relaxed);
      }
    }
    pause = following;
  }
  if (earliest != SteadyTime::max()) schedule_tick(earliest);
  while (Pause* pause = due.front()) {
    pauses_.push_back(*pause);
    pause->wake();
  }
  if (!draining_) pool_->drop_expired(now);
}

}  // namespace iron::proxy
