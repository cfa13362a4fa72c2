#include "proxy/http1/client_watch.h"

#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {
constexpr auto kHalfCloseGrace = std::chrono::seconds(5);
}  // namespace

Presence ClientWatch::poll() {
  Connection& connection = client_.connection();
  Buffer& input = client_.input();
  while (presence_ == Presence::present && connection.maybe_readable()) {
    if (!input.held()) client_.take_input(BufferPool::kSmall);
    if (input.space().empty()) return presence_;
    const IoResult result = connection.read(input.space());
    if (result.status == Io::ok) {
      input.fill(result.size);
    } else if (result.status == Io::eof && !client_.over_tls() && has_whole_request()) {
      presence_ = Presence::half_closed;
      half_close_deadline_ = client_.loop().now() + kHalfCloseGrace;
    } else if (result.status == Io::eof || result.status == Io::error) {
      presence_ = Presence::gone;
    } else {
      break;
    }
  }
  if (presence_ == Presence::present) connection.arm_read();
  if (input.held() && input.empty()) input.release();
  return presence_;
}

bool ClientWatch::has_whole_request() const {
  return complete_ || (body_ != nullptr && body_->look_ahead() == BodySource::Ahead::complete);
}

bool ClientWatch::abandoned() {
  const Presence state = poll();
  if (state == Presence::half_closed) {
    return client_.loop().now() >= half_close_deadline_;
  }
  return state == Presence::gone;
}

}  // namespace iron::proxy
