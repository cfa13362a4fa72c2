#pragma once

#include <atomic>
#include <optional>

#include "proxy/log/log.h"
#include "proxy/log/recorder.h"
#include "proxy/log/refusal_limiter.h"
#include "proxy/net/body_budget.h"
#include "proxy/net/client_connection.h"
#include "proxy/wait/buffers.h"
#include "tests/proxy/memory_file.h"
#include "tests/proxy/wait_rig.h"

namespace iron::proxy {

/// What a client lives from, and its records, without a session.
class ClientRig : public WaitTest {
 protected:
  explicit ClientRig(Level level = Level::info) {
    Log::Options options;
    options.level = level;
    options.stderr_fd = records_.descriptor();
    options.deferred = true;
    log_.emplace(options);
    recorder_.emplace(*log_, ids_, limiter_, loop_);
  }
  /// A new client in the place of the last one. It owns the descriptor.
  ClientConnection& make_client(int descriptor,
                                Entry entry = Entry::http,
                                const Peer& peer = Peer{}) {
    client_.reset();
    return client_.emplace(ClientConnection::Surroundings{.loop = loop_,
                                                          .buffers = buffers_,
                                                          .body_budget = budget_,
                                                          .recorder = *recorder_,
                                                          .released = released_},
                           descriptor, entry, peer);
  }

  test::MemoryFile records_;
  BufferPool buffers_;
  BodyBudget budget_;
  std::atomic<std::uint64_t> released_{0};
  RecordIds ids_;
  RefusalLimiter limiter_;
  std::optional<Log> log_;
  std::optional<Recorder> recorder_;
  std::optional<ClientConnection> client_;
};

}  // namespace iron::proxy
