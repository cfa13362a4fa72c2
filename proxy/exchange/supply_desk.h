#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "policy/task.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/wait/abandonment.h"
#include "proxy/wait/pause.h"
#include "transforms/exchange.h"
#include "transforms/supply.h"

namespace iron::proxy {

class Site;

/// Where requests ask for what they have to wait for (proxy/calls).
class SupplyDesk {
 public:
  virtual ~SupplyDesk() = default;
  using Pipeline = std::shared_ptr<const transforms::Pipeline>;
  /// Set by who waits no more.
  using Left = std::shared_ptr<const std::atomic<bool>>;
  /// For a request that cannot go on without it. `done` is called once, on the desk's thread,
  /// within half a minute; what it gets is never null. Thread safe.
  virtual void ask(Pipeline pipeline,
                   const transforms::Supply& supply,
                   std::function<void(transforms::SuppliedPtr)> done,
                   Left left) = 0;
};

/// Tells the exchange what the pipeline's supplies have, before the pipeline runs.
void begin_supplies(Site& site, const Snapshot& snapshot, transforms::Exchange& exchange);

/// Gets what the exchange awaits and hands it over; the pipeline is to be run again. False: nobody
/// waits any more (`who` may be null), or everything ends.
Task<bool> await_supply(Site& site,
                        const Snapshot& snapshot,
                        transforms::Exchange& exchange,
                        Pause& pause,
                        Abandonment* who);

}  // namespace iron::proxy
