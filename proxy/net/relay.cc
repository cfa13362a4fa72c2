#include "proxy/net/relay.h"

#include "proxy/net/silence.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {

enum class FlowStep { idle, moved, failed };

/// Reads the beginning of a flow until it is judged.
FirstBytes::Verdict hold(RelayFlow& flow, BufferPool& buffers, const EventLoop& loop) {
  using Verdict = FirstBytes::Verdict;
  while (true) {
    const Verdict verdict = flow.first_bytes->judge(flow.buffer.view(), !flow.reading, loop.now());
    if (verdict != Verdict::wait) return verdict;
    if (!flow.from->maybe_readable()) {
      if (flow.buffer.empty()) flow.buffer.release();
      flow.from->arm_read();
      return Verdict::wait;
    }
    if (!flow.buffer.held()) flow.buffer = buffers.take(BufferPool::kSmall);
    if (flow.buffer.space().empty()) flow.buffer.grow(BufferPool::kLarge);
    const IoResult result = flow.from->read(flow.buffer.space());
    if (result.status == Io::ok) {
      flow.buffer.fill(result.size);
    } else if (result.status == Io::eof) {
      flow.reading = false;
    } else if (result.status == Io::error) {
      return Verdict::refuse;
    }
  }
}

/// Moves what can be moved in one direction now.
FlowStep advance(
    RelayFlow& flow, BufferPool& buffers, const EventLoop& loop, bool sensitive, Turn& turn) {
  FlowStep step = FlowStep::idle;
  if (flow.first_bytes != nullptr) {
    const FirstBytes::Verdict verdict = hold(flow, buffers, loop);
    if (verdict == FirstBytes::Verdict::wait) return step;
    if (verdict == FirstBytes::Verdict::refuse) return FlowStep::failed;
    flow.first_bytes = nullptr;
    step = FlowStep::moved;
  }
  while (!turn.over()) {
    while (!flow.buffer.empty()) {
      const IoResult result = flow.to->write({flow.buffer.data(), flow.buffer.size()});
      if (result.status == Io::want_read || result.status == Io::want_write) return step;
      if (result.status != Io::ok) return FlowStep::failed;
      flow.buffer.consume(result.size);
      flow.bytes += result.size;
      turn.moved(result.size);
      step = FlowStep::moved;
    }
    if (!flow.reading) {
      flow.buffer.release();
      return step;
    }
    if (!flow.from->maybe_readable()) {
      flow.buffer.release();
      flow.from->arm_read();
      return step;
    }
    if (!flow.buffer.held()) flow.buffer = buffers.take(BufferPool::kLarge);
    if (sensitive) flow.buffer.set_sensitive();
    while (!flow.buffer.space().empty()) {
      const IoResult result = flow.from->read(flow.buffer.space());
      if (result.status == Io::ok) {
        flow.buffer.fill(result.size);
        continue;
      }
      if (result.status == Io::eof) flow.reading = false;
      if (result.status == Io::error) return FlowStep::failed;
      break;
    }
    if (flow.buffer.empty() && flow.reading) {
      flow.buffer.release();
      return step;
    }
  }
  return step;
}

/// `from` ended, and `to` has all of it but was not told yet.
bool end_due(const RelayFlow& flow) { return !flow.reading && !flow.ended && flow.buffer.empty(); }

void end(RelayFlow& flow) {
  flow.ended = true;
  flow.to->stream().end_writing();
}

/// Since when the receiver of `flow` has taken nothing of what is there for it.
void note(Direction& direction, const RelayFlow& flow, FlowStep step, const EventLoop& loop) {
  using Waits = Direction::Waits;
  const Waits waits = flow.buffer.empty() ? Waits::ended : Waits::for_room;
  const bool begins = waits == Waits::for_room && direction.waits != waits;
  if (begins || step == FlowStep::moved) direction.moved = loop.now();
  direction.waits = waits;
}

}  // namespace

Task<RelayEnd> relay(
    Pause& pause, BufferPool& buffers, RelayFlow& up, RelayFlow& down, const RelayRules& rules) {
  EventLoop& loop = pause.loop();
  const Silence silence(rules.stall, policy::Duration::max());
  Direction up_direction, down_direction;
  bool end_timed = false;
  while (true) {
    Turn up_turn, down_turn;
    const FlowStep first = advance(up, buffers, loop, false, up_turn);
    const FlowStep second = advance(down, buffers, loop, rules.sensitive, down_turn);
    if (first == FlowStep::failed) co_return RelayEnd{"client to upstream failed"};
    if (second == FlowStep::failed) co_return RelayEnd{"upstream to client failed"};
    if (end_due(up)) end(up);
    if (end_due(down)) {
      if (rules.before_client_end) {
        RecordBatch::Wait& recorded = rules.before_client_end();
        co_await recorded;
      }
      end(down);
    }
    if (up.ended && down.ended) co_return RelayEnd();
    if (!rules.half_close && (up.ended || down.ended)) co_return RelayEnd();
    note(up_direction, up, first, loop);
    note(down_direction, down, second, loop);
    const bool one_ended = (up.ended || down.ended) && rules.after_end.count() > 0;
    const bool held = up.first_bytes != nullptr && !up.buffer.empty();
    if (held) {
      pause.set_deadline(up.first_bytes->deadline());
      end_timed = false;
    } else if (one_ended && !std::exchange(end_timed, true)) {
      pause.set_timeout(rules.after_end);
    } else if (!end_timed) {
      pause.set_deadline(silence.deadline(up_direction, down_direction));
    }
    if (up_turn.over() || down_turn.over()) {
      co_await pause.pass_turn();
    } else {
      co_await pause;
    }
    if (pause.expired() && held) {
      up.first_bytes->expire();
      co_return RelayEnd{"client to upstream failed"};
    }
    if (pause.expired()) {
      if (one_ended) co_return RelayEnd();
      co_return RelayEnd{silence.text(up_direction, down_direction), true};
    }
    if (loop.cut()) co_return RelayEnd{"shutting down"};
  }
}

}  // namespace iron::proxy
