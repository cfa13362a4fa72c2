#include "proxy/net/client_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "proxy/wait/event_loop.h"

namespace iron::proxy {

ClientConnection::ClientConnection(const Surroundings& surroundings,
                                   int descriptor,
                                   Entry entry,
                                   const Peer& peer)
    : Client(surroundings.recorder, connection_, entry, peer),
      buffers_(surroundings.buffers),
      released_(surroundings.released),
      pause_(surroundings.loop),
      connection_(surroundings.loop, descriptor),
      input_share_(surroundings.body_budget) {
  const int one = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connection_.set_pause(&pause_);
  pause_.set_long_sleep(this);
}

void ClientConnection::on_long_sleep() {
  connection_.stream().free_buffers();
  if (upstream() != nullptr) upstream()->stream().free_buffers();
  own_upstreams().free_buffers();
  released_.fetch_add(1, std::memory_order_relaxed);
}

Task<bool> ClientConnection::await_bytes(policy::Duration timeout) {
  if (!input_.empty()) co_return true;
  input_share_.reset();
  pause_.set_timeout(timeout);
  while (true) {
    if (connection_.maybe_readable()) {
      if (!input_.held()) input_ = buffers_.take(BufferPool::kSmall);
      const IoResult result = connection_.read(input_.space());
      if (result.status == Io::ok) {
        input_.fill(result.size);
        pause_.clear_deadline();
        co_return true;
      }
      if (result.status == Io::error) broke_ = true;
      if (result.status == Io::eof || result.status == Io::error) co_return false;
    }
    input_.release();
    if (pause_.given_up()) co_return false;
    connection_.arm_read();
    co_await pause_;
    if (pause_.given_up()) co_return false;
  }
}

Task<Io> ClientConnection::read_more(std::size_t limit) {
  if (!input_.held()) input_ = buffers_.take(BufferPool::kSmall);
  if (input_.space().empty()) {
    if (input_.capacity() >= limit) co_return Io::error;
    const std::size_t grown = std::min(input_.capacity() * 4, limit);
    if (grown > BufferPool::kLarge && !input_share_.hold(static_cast<std::int64_t>(grown))) {
      co_return Io::error;
    }
    input_.grow(grown);
  }
  const IoResult result = co_await read_some(connection_, pause_, input_.space());
  if (result.status == Io::ok) input_.fill(result.size);
  co_return result.status;
}

Task<bool> ClientConnection::send(std::string_view bytes) {
  co_await recorded();
  const bool sent = co_await write_all(connection_, pause_, bytes, stall_timeout_);
  co_return sent;
}

Task<void> ClientConnection::finish(ClosesUnderWay& closes) {
  if (!close_) co_return;
  co_await recorded();
  input_.release();
  input_share_.reset();
  pause_.clear_deadline();
  pause_.yield_to_drain(false);
  co_await linger(connection_, pause_, *close_, closes);
}

}  // namespace iron::proxy
