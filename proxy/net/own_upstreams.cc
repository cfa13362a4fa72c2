#include "proxy/net/own_upstreams.h"

#include <algorithm>
#include <utility>

namespace iron::proxy {
namespace {
constexpr std::size_t kMostOwn = 8;
}  // namespace

UpstreamPtr OwnUpstreams::take(const std::string& key,
                               const std::shared_ptr<const void>& configuration) {
  const auto found = std::find_if(idle_.begin(), idle_.end(),
                                  [&](const Own& own) { return own.connection->key == key; });
  if (found == idle_.end()) return nullptr;
  Own own = std::move(*found);
  idle_.erase(found);
  if (own.configuration.lock() != configuration || !own.connection->alive(true)) return nullptr;
  own.connection->reused = true;
  return std::move(own.connection);
}

void OwnUpstreams::keep(UpstreamPtr connection, const std::shared_ptr<const void>& configuration) {
  if (!connection->settle_idle()) return;
  if (idle_.size() >= kMostOwn) idle_.erase(idle_.begin());
  idle_.push_back({std::move(connection), configuration});
}

void OwnUpstreams::free_buffers() {
  for (const Own& own : idle_) own.connection->connection.stream().free_buffers();
}

}  // namespace iron::proxy
