#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/net/upstream_pool.h"
#include "tests/proxy/socket_ends.h"
#include "tests/proxy/wait_rig.h"

namespace iron::proxy {

/// Connections to upstreams that the test plays.
class UpstreamTest : public WaitTest {
 protected:
  /// A fresh one for `key`; the upstream's end is in `peer`. The test destroys it before it ends.
  UpstreamPtr connect(const std::string& key, SocketEnds** peer = nullptr) {
    peers_.push_back(std::make_unique<SocketEnds>());
    auto connection = std::make_unique<UpstreamConnection>(loop_, peers_.back()->give_away());
    connection->key = key;
    if (peer != nullptr) *peer = peers_.back().get();
    return connection;
  }

  std::vector<std::unique_ptr<SocketEnds>> peers_;
};

}  // namespace iron::proxy
