#pragma once

#include <string>
#include <string_view>

#include "proxy/http/answer_filter.h"
#include "proxy/http/body_sink.h"
#include "proxy/http/body_source.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// Brings the body of an answer from its origin to the client, through the filter if there is one,
/// piece by piece as it comes, with back-pressure: nothing more is taken before what was taken has
/// left. A body that ends early never looks whole. Never waits: Delivery does.
class AnswerRelay {
 public:
  /// All outlive it; `filter` may be null. The head is in the sink already.
  AnswerRelay(BodySource& source, BodySink& sink, AnswerFilter* filter, const EventLoop& loop);
  AnswerRelay(const AnswerRelay&) = delete;
  AnswerRelay& operator=(const AnswerRelay&) = delete;

  enum class Step {
    moved,             ///< bytes came or left
    blocked_client,    ///< what waits for the client is not taken now
    blocked_upstream,  ///< nothing is there to be written; look at withheld_until() too
    last_bytes_ready,  ///< once: the record must be written before the next call
    complete,          ///< all of it left
    failed,            ///< see problem()
  };
  /// Takes one step; arms what it is blocked on. `moved` gets the bytes that came or left.
  Step advance(std::size_t& moved);
  /// While an answer that may have to be cut waits to begin: when it begins all the same. max():
  /// it does not wait. Not a matter of what time it is now: who asks this for how long to sleep
  /// must be woken.
  SteadyTime withheld_until() const;
  /// Ends what cannot be completed: a client that has some of it sees that it is not whole.
  void cut(std::string_view problem) { fail_with(problem); }

  const std::string& problem() const { return problem_; }  ///< empty: none
  bool refused() const { return refused_; }                ///< the filter did not let it pass
  /// The problem is that nothing can be written to the client any more.
  bool client_lost() const { return client_lost_; }
  bool begun() const { return begun_; }  ///< the client may have seen a part of it
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
  Step fail_with(std::string_view problem);

  BodySource& source_;
  BodySink& sink_;
  AnswerFilter* const filter_;
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
  bool begun_ = false, refused_ = false, client_lost_ = false;
};

/// The answer's type says that its origin is silent for as long as it likes: event streams, gRPC.
bool may_be_silent(const Headers& headers);

}  // namespace iron::proxy
