#pragma once

#include <string>
#include <string_view>

#include "proxy/http/body_filter.h"
#include "proxy/http/body_sink.h"
#include "proxy/http/body_source.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// Brings a body from where it comes to where it leaves, through the filter if there is one, piece
/// by piece as it comes, with back-pressure: nothing more is taken before what was taken has left.
/// A body that ends early never looks whole. Never waits: Transfer does.
class BodyMover {
 public:
  /// All outlive it; `filter` may be null. The head is in the sink already.
  BodyMover(BodySource& source, BodySink& sink, BodyFilter* filter, const EventLoop& loop);
  BodyMover(const BodyMover&) = delete;
  BodyMover& operator=(const BodyMover&) = delete;

  enum class Step {
    moved,             ///< bytes came or left
    no_room,           ///< what waits is not taken now
    no_bytes,          ///< nothing is there to be written; look at withheld_until() too
    last_bytes_ready,  ///< once: all is composed; for an answer the time of its record
    complete,          ///< all of it left
    failed,            ///< see failure() and problem()
  };
  /// Takes one step; arms what it is blocked on. `moved` gets the bytes that came or left.
  Step advance(std::size_t& moved);
  /// While a body that may have to be cut waits to begin: when it begins all the same. max(): it
  /// does not wait. Not a matter of what time it is now: who asks this for how long to sleep must
  /// be woken.
  SteadyTime withheld_until() const;
  /// Ends what cannot be completed: who has some of it sees that it is not whole.
  void cut(std::string_view problem) { fail_with(Failure::cut, problem); }
  /// The rest does not leave: what was taken from the source counts as read.
  void stop();

  enum class Failure {
    none,
    source_lost,
    source_broken,
    refused,  ///< the filter did not let it pass
    sink_lost,
    cut,
  };
  Failure failure() const { return failure_; }
  const std::string& problem() const { return problem_; }  ///< in the words of a record
  bool begun() const { return begun_; }                    ///< a part of it may have been seen
  std::uint64_t bytes() const { return bytes_; }
  /// Bytes of it are composed and not taken yet.
  bool has_pending() const { return sink_.has_pending(); }

 private:
  bool pull(bool withheld, std::size_t& moved, Step& step);
  bool accept();
  bool filter_piece();
  bool finish();
  bool refuse(const Error& why);
  Step write(std::size_t& moved);
  Step fail_with(Failure failure, std::string_view problem);

  BodySource& source_;
  BodySink& sink_;
  BodyFilter* const filter_;
  const EventLoop& loop_;
  std::string_view piece_;      ///< of the source, not yet filtered to its end
  std::size_t piece_size_ = 0;  ///< what the source is told when it was
  std::string filtered_;
  SteadyTime withhold_until_ = SteadyTime::max();
  std::string problem_;
  std::uint64_t bytes_ = 0;
  bool pulled_ = false;  ///< what was there has been taken, and has not left yet
  bool held_ = false;    ///< the sink has the piece where it lies
  bool finished_ = false, told_ready_ = false;
  bool begun_ = false;
  Failure failure_ = Failure::none;
};

}  // namespace iron::proxy
