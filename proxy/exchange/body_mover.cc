#include "proxy/exchange/body_mover.h"

#include <utility>

#include "proxy/wait/buffers.h"

namespace iron::proxy {
namespace {

/// How much of a filtered body is composed before it leaves.
constexpr std::size_t kFilteredBytes = BufferPool::kLarge;
/// So long an answer that may have to be cut waits for its body: most are complete by then, and can
/// still become a 502.
constexpr auto kWithhold = std::chrono::milliseconds(5);

}  // namespace

BodyMover::BodyMover(BodySource& source, BodySink& sink, BodyFilter* filter, const EventLoop& loop)
    : source_(source), sink_(sink), filter_(filter), loop_(loop) {
  if (sink_.wants_trailers()) source_.keep_trailers();
  if (filter_ != nullptr && filter_->may_cut()) withhold_until_ = loop_.now() + kWithhold;
}

BodyMover::Step BodyMover::advance(std::size_t& moved) {
  const SteadyTime begins = withheld_until();
  const bool withheld = begins != SteadyTime::max() && loop_.now() < begins;
  // What came with the head leaves in its write; more is asked for when there is nothing to write.
  const bool worth_it = withheld || source_.buffered() || source_.done() || !sink_.has_pending();
  if (!finished_ && !pulled_ && worth_it) {
    Step step = Step::moved;
    const bool pulled = pull(withheld, moved, step);
    if (step == Step::failed) return step;
    if (finished_ && !std::exchange(told_ready_, true)) return Step::last_bytes_ready;
    if (!pulled && !sink_.has_pending()) return Step::no_bytes;
    if (withheld) return pulled ? Step::moved : Step::no_bytes;
    pulled_ = true;
  }
  return write(moved);
}

/// Takes what is here. False: nothing was; or `step` says that it failed.
bool BodyMover::pull(bool withheld, std::size_t& moved, Step& step) {
  bool any = false;
  while (!held_) {
    BodySource::Step read = BodySource::Step::bytes;
    if (piece_size_ == 0) {
      // What is composed does not wait for more.
      const bool asks = withheld || !sink_.has_pending();
      read = source_.read(piece_, asks ? BodySource::From::peer : BodySource::From::here);
      moved += source_.take_arrived();
    }
    if (read == BodySource::Step::blocked) break;
    if (read == BodySource::Step::lost || read == BodySource::Step::broken) {
      const bool lost = read == BodySource::Step::lost;
      step = fail_with(lost ? Failure::source_lost : Failure::source_broken, source_.problem());
      return false;
    }
    any = true;
    if (read == BodySource::Step::bytes) {
      if (piece_size_ == 0) piece_size_ = piece_.size();
      if (!accept()) {
        step = Step::failed;
        return false;
      }
    }
    if (source_.done() && (held_ || piece_size_ == 0)) {
      if (!finish()) step = Step::failed;
      break;
    }
    if (sink_.composed() >= kFilteredBytes) break;
  }
  return any;
}

/// Gives the piece on. False: the filter refuses it.
bool BodyMover::accept() {
  if (filter_ != nullptr) return filter_piece();
  bytes_ += piece_size_;
  held_ = sink_.take(piece_) == BodySink::Taken::held;
  if (!held_) source_.consume(std::exchange(piece_size_, 0));
  return true;
}

bool BodyMover::filter_piece() {
  bool taken = false;
  while (!taken && filtered_.size() < kFilteredBytes) {
    const Result<bool> all = filter_->body(piece_, filtered_);
    if (all.has_error()) return refuse(all.error());
    taken = *all;
  }
  if (taken) source_.consume(std::exchange(piece_size_, 0));
  bytes_ += filtered_.size();
  if (!filtered_.empty()) sink_.copy(filtered_);
  filtered_.clear();
  return true;
}

/// The source has nothing more. False: the filter refuses the end.
bool BodyMover::finish() {
  finished_ = true;
  if (filter_ == nullptr) {
    sink_.end(source_.trailers());
    return true;
  }
  const Result<void> ended = filter_->end(filtered_);
  if (ended.has_error()) return refuse(ended.error());
  bytes_ += filtered_.size();
  if (!filtered_.empty()) sink_.copy(filtered_);
  filtered_.clear();
  std::string trailers;
  const Result<void> clean = filter_->trailers(source_.trailers(), trailers);
  if (clean.has_error()) return refuse(clean.error());
  sink_.end(trailers);
  return true;
}

bool BodyMover::refuse(const Error& why) {
  fail_with(Failure::refused, why.text);
  return false;
}

SteadyTime BodyMover::withheld_until() const {
  const bool waits = !begun_ && !finished_ && sink_.composed() < kFilteredBytes;
  return waits ? withhold_until_ : SteadyTime::max();
}

BodyMover::Step BodyMover::write(std::size_t& moved) {
  begun_ = true;
  switch (sink_.write(moved)) {
    case BodySink::Step::blocked:
      return Step::no_room;
    case BodySink::Step::lost:
      return fail_with(Failure::sink_lost, "write: broken pipe");
    case BodySink::Step::written:
      break;
  }
  if (std::exchange(held_, false)) source_.consume(std::exchange(piece_size_, 0));
  pulled_ = false;
  return finished_ ? Step::complete : Step::moved;
}

BodyMover::Step BodyMover::fail_with(Failure failure, std::string_view problem) {
  failure_ = failure;
  problem_ = problem;
  if (begun_) {
    sink_.cut();
  } else {
    sink_.forget();
  }
  return Step::failed;
}

void BodyMover::stop() {
  if (std::exchange(piece_size_, 0) > 0) source_.drop();
  held_ = false;
  sink_.forget();
  source_.end_bulk();
}

}  // namespace iron::proxy
