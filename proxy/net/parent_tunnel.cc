#include "proxy/net/parent_tunnel.h"

#include <algorithm>
#include <array>
#include <string>

#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {

using Step = ParentHandshake::Step;
constexpr std::size_t kRoom = 512;

bool waits(const IoResult& result) {
  return result.status == Io::want_read || result.status == Io::want_write;
}

IoResult send(Connection& connection, ParentHandshake& handshake) {
  const IoResult result = connection.write(handshake.output());
  if (result.status == Io::ok) handshake.sent(result.size);
  return result;
}

/// What was read too early can be given back to a plain stream only: in TLS it is read byte by
/// byte, from what OpenSSL has decrypted.
IoResult receive(Connection& connection, ParentHandshake& handshake, Step& step) {
  std::array<char, kRoom> room;
  std::size_t size = handshake.wanted();
  if (size == 0) size = connection.stream().is_tls() ? 1 : room.size();
  const IoResult result = connection.read({room.data(), std::min(size, room.size())});
  if (result.status == Io::ok) {
    step = handshake.take({room.data(), result.size});
    wipe({room.data(), result.size});
  }
  return result;
}

}  // namespace

Task<Result<void>> open_tunnel(Connection& connection,
                               Pause& pause,
                               ParentHandshake& handshake,
                               Abandonment& abandonment,
                               std::chrono::nanoseconds timeout) {
  pause.set_timeout(timeout);
  Step step = Step::goes_on;
  while (step == Step::goes_on) {
    const IoResult result = handshake.output().empty() ? receive(connection, handshake, step)
                                                       : send(connection, handshake);
    if (result.status == Io::ok) continue;
    if (!waits(result)) {
      step = handshake.ended();
      continue;
    }
    co_await pause;
    if (abandonment.abandoned() || pause.loop().cut()) {
      co_return fail("client gone", Fault::client_gone);
    }
    if (pause.expired()) step = handshake.timed_out();
  }
  pause.clear_deadline();
  if (step == Step::failed) co_return handshake.error();
  if (!handshake.surplus().empty()) connection.stream().unread(handshake.surplus());
  co_return Result<void>();
}

}  // namespace iron::proxy
