#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "proxy/calls/call_client.h"
#include "proxy/calls/fetch_run.h"
#include "proxy/dns/local_lookups.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/supply_desk.h"
#include "proxy/net/dialer.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// Gets what requests have to wait for, on a thread of its own, so that no worker ever does: one
/// fetch at a time of each supply, however many wait for it. What it got is published to the
/// workers before those who waited go on, and the log's net knows it before anything is written.
class CallDesk final : public SupplyDesk {
 public:
  /// Tells every worker; called on the desk's thread.
  using Publish = std::function<void(Pipeline, transforms::ValuesPtr)>;
  /// The services and the clock outlive it, and so does `names`, which looks up the hosts of calls
  /// and is started with the thread; null: as for clients. The thread starts when it is first
  /// needed, or never, if `threaded` is false: then a test turns loop().
  CallDesk(Services& services,
           Resolver* names,
           Publish publish,
           bool threaded = true,
           const Clock& clock = Clock::system());
  ~CallDesk() override;
  CallDesk(const CallDesk&) = delete;

  void ask(Pipeline pipeline,
           const transforms::Supply& supply,
           std::function<void(transforms::SuppliedPtr)> done,
           Left left) override;
  /// What is kept for other pipelines is forgotten; what is under way for them goes on. Thread
  /// safe.
  void forget_others(Pipeline current);
  /// Ends the thread; nobody is answered any more.
  void stop();
  EventLoop& loop() { return loop_; }

 private:
  struct Waiter {
    std::function<void(transforms::SuppliedPtr)> done;
    SteadyTime since;
    Left left;
  };
  /// A supply's fetch and who waits for it.
  struct Flight {
    bool under_way = false;
    std::vector<Waiter> waiting, next;  ///< for this fetch, for one that begins later
  };
  /// What is kept for one pipeline.
  struct Shelf {
    Pipeline pipeline;
    std::vector<transforms::SuppliedPtr> slots;
    std::vector<Flight> flights;
    std::shared_ptr<const transforms::KeyNet> net;
    std::size_t under_way = 0;
    bool changed = false, new_keys = false;  ///< since it was published
  };
  /// A fetch that has ended in this turn.
  struct Landed {
    Shelf* shelf;
    transforms::Supply* supply;
    std::shared_ptr<transforms::Supplied> what;
    std::unique_ptr<FetchRun> run;
  };
  struct Landing final : TurnEnd {
    explicit Landing(CallDesk& desk_in) : desk(desk_in) {}
    void on_turn_end() override { desk.land(); }
    CallDesk& desk;
  };

  void start_thread();
  void take_order(const Pipeline& pipeline, const transforms::Supply& supply, Waiter waiter);
  Shelf& shelf_of(const Pipeline& pipeline);
  void begin(Shelf& shelf, transforms::Supply& supply);
  SteadyTime deadline_of(const Shelf& shelf, const transforms::Supply& supply) const;
  Task<void> fly(Shelf& shelf, transforms::Supply& supply);
  void land();
  void put(const Landed& landed);
  void answer(const Landed& landed);
  void sweep();

  Services& services_;
  Resolver* const names_;
  const Publish publish_;
  EventLoop loop_;
  dns::LocalLookups lookups_;
  UpstreamPool pool_;
  const OwnAddresses no_own_addresses_;
  Dialer dialer_;
  CallClient client_;
  ProgramLine programs_;
  std::optional<Pipeline> current_;  ///< as the last reload said
  std::vector<std::unique_ptr<Shelf>> shelves_;
  std::vector<Landed> landed_;
  Landing landing_;
  const bool threaded_;
  std::once_flag started_;
  std::mutex thread_mutex_;
  std::thread thread_;
};

}  // namespace iron::proxy
