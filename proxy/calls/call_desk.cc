#include "proxy/calls/call_desk.h"

#include <algorithm>
#include <utility>

#include "transforms/key_net.h"

namespace iron::proxy {
namespace {

using transforms::Supplied;
using transforms::SuppliedPtr;
using transforms::Supply;

/// The keys of what a supply had and has are the same objects: the log's net knows them.
bool same_keys(const Supplied* before, const Supplied& now) {
  return before != nullptr && before->value == now.value && before->keys == now.keys;
}

}  // namespace

CallDesk::CallDesk(
    Services& services, Resolver* names, Publish publish, bool threaded, const Clock& clock)
    : services_(services),
      names_(names),
      publish_(std::move(publish)),
      loop_(clock),
      lookups_(loop_, names == nullptr ? services.resolver : *names),
      pool_(loop_, services.idle_upstreams, 1),
      dialer_(lookups_, pool_, services.upstream_tls, no_own_addresses_),
      client_(loop_, dialer_, pool_, ParentProxy::of_environment(services.environment)),
      programs_(loop_, services.programs),
      landing_(*this),
      threaded_(threaded) {}

CallDesk::~CallDesk() { stop(); }

void CallDesk::start_thread() {
  const std::lock_guard lock(thread_mutex_);
  if (names_ != nullptr) names_->start();
  thread_ = std::thread([this] {
    // Thread-local objects are registered now: the C library aborts when it has no memory for that
    // later.
    detail::release_frame(detail::allocate_frame(1), 1);
    services_.log.prepare_thread();
    loop_.run([this] { services_.log.session_failed(std::current_exception()); });
  });
}

void CallDesk::stop() {
  const std::lock_guard lock(thread_mutex_);
  if (!thread_.joinable()) return;
  loop_.post([this] {
    loop_.cut_all();
    loop_.stop();
  });
  thread_.join();
}

void CallDesk::ask(Pipeline pipeline,
                   const Supply& supply,
                   std::function<void(SuppliedPtr)> done,
                   Left left) {
  if (threaded_) std::call_once(started_, [this] { start_thread(); });
  loop_.post([this, pipeline = std::move(pipeline), &supply, done = std::move(done),
              left = std::move(left)]() mutable {
    take_order(pipeline, supply, {std::move(done), loop_.now(), std::move(left)});
  });
}

void CallDesk::forget_others(Pipeline current) {
  loop_.post([this, current = std::move(current)] {
    current_ = current;
    sweep();
  });
}

CallDesk::Shelf& CallDesk::shelf_of(const Pipeline& pipeline) {
  const auto found =
      std::ranges::find_if(shelves_, [&](const auto& at) { return at->pipeline == pipeline; });
  if (found != shelves_.end()) return **found;
  auto shelf = std::make_unique<Shelf>();
  shelf->pipeline = pipeline;
  shelf->slots.resize(pipeline->supply_count());
  shelf->flights.resize(pipeline->supply_count());
  shelf->net = pipeline->key_net();
  shelves_.push_back(std::move(shelf));
  return *shelves_.back();
}

/// Forgets the shelves of former pipelines that nothing is under way for.
void CallDesk::sweep() {
  if (!current_) return;
  std::erase_if(shelves_,
                [this](const auto& at) { return at->pipeline != *current_ && at->under_way == 0; });
}

void CallDesk::take_order(const Pipeline& pipeline, const Supply& asked, Waiter waiter) {
  Shelf& shelf = shelf_of(pipeline);
  const std::uint32_t slot = asked.slot();
  const SuppliedPtr& there = shelf.slots[slot];
  const std::int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(loop_.now().time_since_epoch()).count();
  if (there != nullptr && there->until_ns > now_ns) return waiter.done(there);
  Flight& flight = shelf.flights[slot];
  if (!flight.under_way) {
    flight.waiting.push_back(std::move(waiter));
    return begin(shelf, pipeline->supply(slot));
  }
  // What a fetch gets that began before may be older than this request.
  auto& with = asked.fetched_for_each_use() ? flight.next : flight.waiting;
  with.push_back(std::move(waiter));
}

void CallDesk::begin(Shelf& shelf, Supply& supply) {
  shelf.flights[supply.slot()].under_way = true;
  ++shelf.under_way;
  start(fly(shelf, supply), [this](const std::exception_ptr&) {
    services_.log.session_failed(std::current_exception());
  });
}

/// Of those who wait for it the first has waited for half a minute then; but a fetch has a chance.
SteadyTime CallDesk::deadline_of(const Shelf& shelf, const Supply& supply) const {
  constexpr std::chrono::seconds kLeast{2};
  SteadyTime since = loop_.now();
  for (const Waiter& waiter : shelf.flights[supply.slot()].waiting) {
    since = std::min(since, waiter.since);
  }
  return std::max(since + FetchRun::kLimit, loop_.now() + kLeast);
}

Task<void> CallDesk::fly(Shelf& shelf, Supply& supply) {
  auto run = std::make_unique<FetchRun>(loop_, client_, programs_, services_.environment,
                                        deadline_of(shelf, supply));
  std::shared_ptr<Supplied> what = std::make_shared<Supplied>();
  try {
    *what = co_await supply.fetch(*run);
  } catch (const std::exception&) {
    *what = {};
    what->error = "out of memory";
  }
  landed_.push_back({&shelf, &supply, std::move(what), std::move(run)});
  loop_.at_turn_end(landing_);
}

/// Everything that ended in this turn becomes known at once: first to the log's net, then to the
/// workers, then to those who wait.
void CallDesk::land() {
  std::vector<Landed> landed = std::exchange(landed_, {});
  for (const Landed& at : landed) put(at);
  for (auto& shelf : shelves_) {
    if (std::exchange(shelf->new_keys, false)) {
      shelf->net = shelf->pipeline->key_net_with(shelf->slots);
      services_.log.guard(shelf->net);
    }
    if (!std::exchange(shelf->changed, false)) continue;
    for (const Landed& at : landed) {
      if (at.shelf == shelf.get()) at.what->net = shelf->net;
    }
    auto values = std::make_shared<transforms::Values>();
    values->slots = shelf->slots;
    values->net = shelf->net;
    publish_(shelf->pipeline, std::move(values));
  }
  for (const Landed& at : landed) {
    at.run->write_notes(services_.log);
    answer(at);
  }
  sweep();
}

void CallDesk::put(const Landed& landed) {
  Shelf& shelf = *landed.shelf;
  SuppliedPtr& slot = shelf.slots[landed.supply->slot()];
  const bool known = same_keys(slot.get(), *landed.what);
  shelf.new_keys = shelf.new_keys || !known;
  // What is asked for at each use need not be told to those who have the same.
  shelf.changed = shelf.changed || !known || landed.what->until_ns != INT64_MIN;
  slot = landed.what;
}

void CallDesk::answer(const Landed& landed) {
  Shelf& shelf = *landed.shelf;
  Flight& flight = shelf.flights[landed.supply->slot()];
  flight.under_way = false;
  --shelf.under_way;
  std::vector<Waiter> waiting = std::exchange(flight.waiting, std::exchange(flight.next, {}));
  const bool failed = landed.what->value == nullptr;
  std::erase_if(waiting, [](const Waiter& waiter) { return waiter.left->load(); });
  if (failed && landed.supply->retried_by_each()) {
    // One has failed; the others try again while they have time.
    const SteadyTime oldest = loop_.now() - FetchRun::kLimit;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (i == 0 || waiting[i].since <= oldest) {
        waiting[i].done(landed.what);
      } else {
        flight.waiting.push_back(std::move(waiting[i]));
      }
    }
  } else {
    for (const Waiter& waiter : waiting) waiter.done(landed.what);
  }
  if (!flight.waiting.empty()) begin(shelf, *landed.supply);
}

}  // namespace iron::proxy
