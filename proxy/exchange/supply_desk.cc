#include "proxy/exchange/supply_desk.h"

#include <chrono>
#include <utility>

#include "proxy/exchange/site.h"
#include "proxy/wait/later.h"

namespace iron::proxy {

void begin_supplies(Site& site, const Snapshot& snapshot, transforms::Exchange& exchange) {
  if (snapshot.pipeline->supply_count() == 0) return;
  exchange.values = site.values(*snapshot.pipeline);
  exchange.now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(site.loop().now().time_since_epoch())
          .count();
}

Task<bool> await_supply(Site& site,
                        const Snapshot& snapshot,
                        transforms::Exchange& exchange,
                        Pause& pause,
                        Abandonment* who) {
  const transforms::Supply* supply = std::exchange(exchange.awaited, nullptr);
  // Who has not been asked before is not watched.
  if (who != nullptr && who->abandoned()) co_return false;
  Later<transforms::SuppliedPtr> came(pause);
  const auto left = std::make_shared<std::atomic<bool>>(false);
  site.services().supplies->ask(snapshot.pipeline, *supply, came.promise(), left);
  const auto given_up = [&] { return pause.loop().cut() || (who != nullptr && who->abandoned()); };
  auto what = co_await await(came, pause, given_up);
  if (!what) left->store(true);
  if (!what) co_return false;
  exchange.supplied.emplace_back(supply, std::move(*what));
  co_return true;
}

}  // namespace iron::proxy
