#include "proxy/net/connection.h"

#include <memory>

#include "proxy/run/worker.h"

namespace iron::proxy {

Connection::Connection(Worker& worker, int descriptor)
    : stream_(descriptor), watch_(worker.context(), descriptor) {}

IoResult Connection::settle(IoResult result) {
  if (result.status == Io::want_read) watch_.arm_read();
  if (result.status == Io::want_write) watch_.arm_write();
  return result;
}

IoResult Connection::read(std::span<char> into) {
  if (!maybe_readable() && !fresh_) {
    watch_.arm_read();
    return {Io::want_read};
  }
  fresh_ = false;
  const IoResult result = stream_.read(into);
  // A read that filled the space may have left bytes in the socket; any other took what was there.
  if (result.status == Io::ok && result.size < into.size()) watch_.clear_readable();
  if (result.status == Io::want_read) watch_.clear_readable();
  return settle(result);
}

IoResult Connection::write(std::span<const char> bytes) { return settle(stream_.write(bytes)); }

Io Connection::finish_writing() { return settle({stream_.finish_writing()}).status; }

IoResult Connection::discard() { return settle(stream_.discard()); }

IoResult Connection::handshake() {
  const IoResult result = settle(stream_.handshake());
  // The handshake took everything the socket had; what is left is in OpenSSL's buffer.
  if (result.status == Io::ok) watch_.clear_readable();
  return result;
}

bool given_up(const Pause& pause) {
  const Worker& worker = pause.worker();
  return pause.expired() || worker.cut() || (pause.yields_to_drain() && worker.draining());
}

Task<IoResult> read_some(Connection& connection, Pause& pause, std::span<char> into) {
  while (true) {
    const IoResult result = connection.read(into);
    if (result.status != Io::want_read && result.status != Io::want_write) co_return result;
    if (given_up(pause)) co_return IoResult{Io::error};
    co_await pause;
    if (given_up(pause)) co_return IoResult{Io::error};
  }
}

Task<bool> write_all(Connection& connection,
                     Pause& pause,
                     std::string_view bytes,
                     std::chrono::nanoseconds stall) {
  bool waited = false;
  while (!bytes.empty()) {
    const IoResult result = connection.write(bytes);
    if (result.status == Io::ok) {
      bytes.remove_prefix(result.size);
      if (waited) pause.set_timeout(stall);
      continue;
    }
    if (result.status != Io::want_write && result.status != Io::want_read) co_return false;
    if (!std::exchange(waited, true)) pause.set_timeout(stall);
    co_await pause;
    if (given_up(pause)) co_return false;
  }
  if (waited) pause.clear_deadline();
  co_return true;
}

namespace {

/// Carries a leaf from a minting thread to the worker; the session may be gone by then.
struct LeafSlot {
  Pause* pause = nullptr;
  bool done = false;
  Result<tls::LeafStore::LeafPtr> leaf = tls::LeafStore::LeafPtr();
};

struct SlotGuard {
  std::shared_ptr<LeafSlot> slot;
  ~SlotGuard() { slot->pause = nullptr; }
};

Task<bool> await_leaf(Connection& connection, Pause& pause, tls::LeafStore& store) {
  SlotGuard guard{std::make_shared<LeafSlot>()};
  guard.slot->pause = &pause;
  Worker& worker = pause.worker();
  store.request(connection.stream().server_name(),
                [slot = guard.slot, &worker](Result<tls::LeafStore::LeafPtr> leaf) {
                  worker.post([slot, leaf = std::move(leaf)]() mutable {
                    slot->leaf = std::move(leaf);
                    slot->done = true;
                    if (slot->pause != nullptr) slot->pause->wake();
                  });
                });
  while (!guard.slot->done) {
    co_await pause;
    if (given_up(pause)) co_return false;
  }
  if (guard.slot->leaf.has_error()) {
    connection.stream().refuse_leaf(guard.slot->leaf.error().text);
  } else {
    connection.stream().set_leaf(*guard.slot->leaf);
  }
  co_return true;
}

}  // namespace

Task<Io> finish_handshake(Connection& connection, Pause& pause, tls::LeafStore* store) {
  while (true) {
    const IoResult result = connection.handshake();
    if (result.status == Io::want_leaf) {
      const bool minted = co_await await_leaf(connection, pause, *store);
      if (!minted) co_return Io::error;
      continue;
    }
    if (result.status != Io::want_read && result.status != Io::want_write) co_return result.status;
    co_await pause;
    if (given_up(pause)) co_return Io::error;
  }
}

}  // namespace iron::proxy
