#include "proxy/exchange/delivery.h"

#include <algorithm>

#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"

namespace iron::proxy {

Delivery::Delivery(Site& site,
                   ClientWatch& watch,
                   UpstreamConnection& upstream,
                   Upload& upload,
                   AnswerRelay& relay,
                   Reply& reply,
                   const Silence& silence)
    : site_(site),
      watch_(watch),
      client_(watch.client()),
      upstream_(upstream),
      upload_(upload),
      relay_(relay),
      reply_(reply),
      silence_(silence),
      upload_ended_(reply.upload_done) {
  up_.moved = down_.moved = now();
}

Task<Delivery::State> Delivery::run() {
  while (true) {
    const std::size_t up = upload_ended_ ? 0 : upload_step();
    if (!relay_.problem().empty()) co_return State::failed;
    std::size_t down = 0;
    const AnswerRelay::Step step = relay_.advance(down);
    if (step == AnswerRelay::Step::failed) co_return State::failed;
    if (step == AnswerRelay::Step::complete) co_return State::complete;
    if (step == AnswerRelay::Step::last_bytes_ready) {
      whole_ = true;
      co_return State::last_bytes_ready;
    }
    if (up > 0 || down > 0) {
      const SteadyTime moved = now();
      if (up > 0) up_.moved = moved;
      if (down > 0) down_.moved = moved;
    }
    if (up > 0 || step == AnswerRelay::Step::moved) {
      turn_.moved(up + down);
      if (!turn_.over()) continue;
      turn_.begin();
      co_await client_.pause().pass_turn();
      woken();
      continue;
    }
    down_.waits = step == AnswerRelay::Step::blocked_client ? Direction::Waits::for_room
                                                            : Direction::Waits::for_bytes;
    if (!sleep_is_due()) co_return State::failed;
    turn_.begin();
    co_await client_.pause();
    woken();
  }
}

/// Moves what goes of the request's body; returns how much.
std::size_t Delivery::upload_step() {
  std::size_t moved = 0;
  switch (upload_.advance(upstream_.connection, turn_, moved)) {
    case Upload::Step::blocked_client:
      up_.waits = Direction::Waits::for_bytes;
      break;
    case Upload::Step::blocked_upstream:
      up_.waits = Direction::Waits::for_room;
      break;
    case Upload::Step::turn_over:
      break;
    case Upload::Step::client_gone:
      upload_broke("client gone", Fault::client_gone);
      break;
    case Upload::Step::client_fault:
      upload_broke(kMalformedRequest, Fault::bad_request);
      break;
    case Upload::Step::finished:
      reply_.upload_done = true;
      watch_.request_complete(true);
      [[fallthrough]];
    case Upload::Step::upstream_failed:  // the answer may be there all the same
      upload_ended_ = true;
      up_.waits = Direction::Waits::ended;
      break;
  }
  return moved;
}

/// An answer that is here in full leaves all the same: it does not hang on the rest of the body.
void Delivery::upload_broke(std::string_view problem, Fault fault) {
  if (whole_) {
    upload_ended_ = true;
    up_.waits = Direction::Waits::ended;
    return;
  }
  fault_ = fault;
  relay_.cut(problem);
}

/// Prepares the sleep. False: there is nobody to sleep for.
bool Delivery::sleep_is_due() {
  // While the body is awaited its bytes belong to the upload, which also sees the client's end.
  const bool upload_reads = !upload_ended_ && upload_.awaiting_client();
  if (!upload_reads) {
    const Presence state = watch_.poll();
    if (state != Presence::present) left_at_rest_ |= !relay_.has_pending();
    if (state == Presence::gone) {
      fault_ = Fault::client_gone;
      relay_.cut("client gone");
      return false;
    }
  }
  client_.pause().set_deadline(std::min(silence_.deadline(up_, down_), relay_.withheld_until()));
  return true;
}

void Delivery::woken() {
  Pause& pause = client_.pause();
  const bool expired = pause.expired();
  if (site_.loop().cut()) {
    relay_.cut("shutting down");
  } else if (expired && now() >= silence_.deadline(up_, down_)) {
    silent_ = true;
    relay_.cut(silence_.text(up_, down_));
  }
  if (expired) pause.clear_deadline();
}

}  // namespace iron::proxy
