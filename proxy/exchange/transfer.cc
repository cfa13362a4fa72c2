#include "proxy/exchange/transfer.h"

#include <algorithm>
#include <utility>

#include "proxy/http/answers.h"

namespace iron::proxy {

Transfer::Transfer(ClientStream& client,
                   UpstreamStream& upstream,
                   BodyMover& up,
                   const Limits& limits)
    : client_(client),
      upstream_(upstream),
      up_(up),
      limits_(limits),
      loop_(client.pause().loop()) {}

/// Sends what goes within this turn; `moved` then says that more goes in the next.
BodyMover::Step Transfer::move_up(std::size_t& moved) {
  Turn left = turn_;
  do {
    const std::size_t before = moved;
    up_step_ = up_.advance(moved);
    if (up_step_ != BodyMover::Step::moved && up_step_ != BodyMover::Step::last_bytes_ready) break;
    left.moved(moved - before);
  } while (!left.over());
  return up_step_;
}

/// What its client did to the request. Nothing where the upstream takes no more: it may have
/// answered all the same.
std::optional<Error> Transfer::broken_request() const {
  switch (up_.failure()) {
    case BodyMover::Failure::source_lost:
      return fail("client gone", Fault::client_gone);
    case BodyMover::Failure::source_broken:
      return fail(std::string(kMalformedRequest), Fault::bad_request);
    case BodyMover::Failure::refused:
      return fail(up_.problem(), Fault::bad_request);
    default:
      return std::nullopt;
  }
}

Transfer::HeadStep Transfer::fail_with(std::string text, Fault fault) {
  error_ = fail(std::move(text), fault);
  return HeadStep::failed;
}

Task<Result<void>> Transfer::head(Response& head, AnswerFilter* filter, bool sensitive) {
  Pause& pause = client_.pause();
  since_ = now();
  while (true) {
    HeadStep step = step_for_head(head);
    if (step == HeadStep::interim) step = co_await relay_interim(head, filter, sensitive);
    if (step == HeadStep::moved && turn_.over()) {
      turn_.begin();
      co_await pause.pass_turn();
      if (loop_.cut()) step = fail_with("shutting down", Fault::client_gone);
    }
    if (step == HeadStep::blocked) step = prepare_sleep_for_head();
    if (step == HeadStep::blocked) {
      co_await pause;
      step = woken_for_head();
    }
    if (step == HeadStep::moved) continue;
    pause.clear_deadline();
    if (step == HeadStep::final) co_return Result<void>();
    upstream_.reset();
    co_return std::move(error_);
  }
}

Transfer::HeadStep Transfer::step_for_head(Response& head) {
  const HeadStep sent = up_ended_ ? HeadStep::blocked : send_for_head();
  if (sent == HeadStep::failed) return sent;
  std::size_t came = 0;
  const UpstreamStream::Step read = upstream_.read_head(head, came);
  if (came > 0) {
    turn_.moved(came);
    if (!upstream_.sent()) since_ = now();
  }
  switch (read) {
    case UpstreamStream::Step::moved:
      return HeadStep::moved;
    case UpstreamStream::Step::blocked:
      return sent;
    case UpstreamStream::Step::interim:
      return HeadStep::interim;
    case UpstreamStream::Step::final:
      return HeadStep::final;
    case UpstreamStream::Step::failed:
      break;
  }
  error_ = upstream_.error();
  return HeadStep::failed;
}

Transfer::HeadStep Transfer::send_for_head() {
  std::size_t moved = 0;
  const BodyMover::Step step = move_up(moved);
  up_ended_ = step == BodyMover::Step::complete || step == BodyMover::Step::failed;
  if (std::optional<Error> broken = broken_request()) {
    error_ = std::move(*broken);
    return HeadStep::failed;
  }
  if (moved > 0 || step == BodyMover::Step::complete) since_ = now();
  turn_.moved(moved);
  return sends_on() ? HeadStep::moved : HeadStep::blocked;
}

Task<Transfer::HeadStep> Transfer::relay_interim(Response& head,
                                                 AnswerFilter* filter,
                                                 bool sensitive) {
  if (client_.takes_interim(head.status)) {
    if (filter != nullptr) {
      const Result<void> clean = filter->head(head);
      if (clean.has_error()) co_return fail_with(clean.error().text);
    }
    const bool sent = co_await client_.send_interim(head, sensitive);
    if (!sent) co_return fail_with("client gone", Fault::client_gone);
  }
  upstream_.pass_interim();
  co_return HeadStep::moved;
}

/// Until when the upstream may be silent: from the end of the request for its head. Before that:
/// until when it must take what there is of the request, or the client send more.
Transfer::HeadStep Transfer::prepare_sleep_for_head() {
  // While the body is awaited its bytes belong to its mover, which also sees the client's end.
  if (!awaits_client() && client_.abandoned()) {
    return fail_with("client gone", Fault::client_gone);
  }
  const policy::Duration allowed = upstream_.sent()  ? limits_.header_timeout
                                   : awaits_client() ? limits_.quiet_timeout
                                                     : limits_.stall_timeout;
  client_.pause().set_deadline(std::min(later(since_, allowed), client_.half_close_deadline()));
  turn_.begin();
  return HeadStep::blocked;
}

Transfer::HeadStep Transfer::woken_for_head() {
  if (loop_.cut()) return fail_with("shutting down", Fault::client_gone);
  return client_.pause().expired() ? late() : HeadStep::moved;
}

/// Whose silence it was.
Transfer::HeadStep Transfer::late() {
  if (awaits_client()) {
    return fail_with(silence_text("no byte from client", limits_.quiet_timeout, "quiet_timeout"),
                     Fault::client_silent);
  }
  if (client_.abandoned()) return fail_with("client gone", Fault::client_gone);
  timed_out_ = true;
  if (!upstream_.sent()) {
    return fail_with("write: i/o timeout (proxy.limits.stall_timeout " +
                     policy::format_duration(limits_.stall_timeout) + ")");
  }
  return fail_with(
      "net/http: timeout awaiting response headers (proxy.upstream_response_header_timeout " +
          policy::format_duration(limits_.header_timeout) + ")",
      Fault::header_timeout);
}

Task<Transfer::State> Transfer::body(BodyMover& down, policy::Duration quiet) {
  const Silence silence(limits_.stall_timeout, quiet);
  if (!whole_) up_way_.moved = down_way_.moved = now();
  while (true) {
    const std::size_t up = up_ended_ ? 0 : send_beside(down);
    if (down.failure() != BodyMover::Failure::none) co_return State::failed;
    std::size_t received = 0;
    const BodyMover::Step step = down.advance(received);
    if (step == BodyMover::Step::failed) co_return State::failed;
    if (step == BodyMover::Step::complete) co_return State::complete;
    if (step == BodyMover::Step::last_bytes_ready) {
      whole_ = true;
      co_return State::last_bytes_ready;
    }
    if (up > 0 || received > 0) {
      const SteadyTime moved = now();
      if (up > 0) up_way_.moved = moved;
      if (received > 0) down_way_.moved = moved;
    }
    if (up > 0 || sends_on() || step == BodyMover::Step::moved) {
      turn_.moved(up + received);
      if (!turn_.over()) continue;
      turn_.begin();
      co_await client_.pause().pass_turn();
      woken(down, silence);
      continue;
    }
    const bool no_room = step == BodyMover::Step::no_room;
    down_way_.waits = no_room ? Direction::Waits::for_room : Direction::Waits::for_bytes;
    if (!prepare_sleep(down, silence)) co_return State::failed;
    turn_.begin();
    co_await client_.pause();
    woken(down, silence);
  }
}

/// Moves what goes of the request's body beside the answer; returns how much.
std::size_t Transfer::send_beside(BodyMover& down) {
  std::size_t moved = 0;
  switch (move_up(moved)) {
    case BodyMover::Step::no_bytes:
      up_way_.waits = Direction::Waits::for_bytes;
      return moved;
    case BodyMover::Step::no_room:
      up_way_.waits = Direction::Waits::for_room;
      return moved;
    case BodyMover::Step::moved:
    case BodyMover::Step::last_bytes_ready:
      return moved;
    case BodyMover::Step::complete:
    case BodyMover::Step::failed:
      break;
  }
  up_ended_ = true;
  up_way_.waits = Direction::Waits::ended;
  const std::optional<Error> broken = broken_request();
  // An answer that is here in full leaves all the same: it does not hang on the rest of the body.
  if (broken && !whole_) {
    fault_ = broken->fault;
    down.cut(broken->text);
  }
  return moved;
}

/// False: there is nobody to sleep for.
bool Transfer::prepare_sleep(BodyMover& down, const Silence& silence) {
  // While the body is awaited its bytes belong to its mover, which also sees the client's end.
  if (!awaits_client()) {
    const Presence state = client_.poll();
    if (state != Presence::present) left_at_rest_ |= !down.has_pending();
    if (state == Presence::gone) {
      fault_ = Fault::client_gone;
      down.cut("client gone");
      return false;
    }
  }
  client_.pause().set_deadline(
      std::min(silence.deadline(up_way_, down_way_), down.withheld_until()));
  return true;
}

void Transfer::woken(BodyMover& down, const Silence& silence) {
  Pause& pause = client_.pause();
  const bool expired = pause.expired();
  if (loop_.cut()) {
    down.cut("shutting down");
  } else if (expired && now() >= silence.deadline(up_way_, down_way_)) {
    silent_ = true;
    down.cut(silence.text(up_way_, down_way_));
  }
  if (expired) pause.clear_deadline();
}

}  // namespace iron::proxy
