#include "proxy/net/connection.h"

#include <errno.h>
#include <sys/socket.h>

#include <optional>

#include "proxy/wait/later.h"

namespace iron::proxy {

Connection::Connection(EventLoop& loop, int descriptor, Watch::Kind kind)
    : stream_(descriptor), watch_(loop, descriptor, kind) {
  watch_.leave_to_close();  // the stream closes it
}

IoResult Connection::settle(IoResult result) {
  if (result.status == Io::want_read) {
    watch_.clear_readable();
    watch_.arm_read();
  }
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
  if (stream_.drained()) watch_.note_short_read();
  return settle(result);
}

IoResult Connection::write(std::span<const char> bytes) { return settle(stream_.write(bytes)); }

Io Connection::finish_writing() { return settle({stream_.finish_writing()}).status; }

IoResult Connection::discard() { return settle(stream_.discard()); }

IoResult Connection::handshake() {
  const IoResult result = settle(stream_.handshake());
  if (result.status == Io::ok && stream_.drained()) watch_.note_short_read();
  return result;
}

bool Connection::quiet() {
  if (stream_.has_pending()) return false;
  if (!watch_.readable()) return true;
  char byte;
  const auto got = ::recv(stream_.descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got >= 0 || errno != EAGAIN) return false;
  watch_.clear_readable();
  return !watch_.readable();
}

Task<IoResult> read_some(Connection& connection, Pause& pause, std::span<char> into) {
  while (true) {
    const IoResult result = connection.read(into);
    if (result.status != Io::want_read && result.status != Io::want_write) co_return result;
    if (pause.given_up()) co_return IoResult{Io::error};
    co_await pause;
    if (pause.given_up()) co_return IoResult{Io::error};
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
    if (pause.given_up()) co_return false;
  }
  if (waited) pause.clear_deadline();
  co_return true;
}

namespace {

using MintedLeaf = Result<tls::LeafStore::LeafPtr>;

Task<bool> await_leaf(Connection& connection, Pause& pause, tls::LeafStore& store) {
  Later<MintedLeaf> minted(pause);
  store.request(connection.stream().server_name(), minted.promise());
  const auto given_up = [&pause] { return pause.given_up(); };
  const std::optional<MintedLeaf> leaf = co_await await(minted, pause, given_up);
  if (!leaf) co_return false;
  if (leaf->has_error()) {
    connection.stream().refuse_leaf(leaf->error().text);
  } else {
    connection.stream().set_leaf(**leaf);
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
    if (pause.given_up()) co_return Io::error;
  }
}

}  // namespace iron::proxy
