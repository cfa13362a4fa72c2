#pragma once

#include <optional>
#include <string>

#include "policy/duration.h"
#include "policy/result.h"
#include "proxy/exchange/body_mover.h"
#include "proxy/http/answer_filter.h"
#include "proxy/http/client_stream.h"
#include "proxy/http/upstream_stream.h"
#include "proxy/net/silence.h"
#include "proxy/wait/event_loop.h"
#include "proxy/wait/pause.h"

namespace iron::proxy {

/// Moves one exchange between its two streams: the request up, the answer down, both at once in one
/// coroutine, since an answer may come before the body is sent and either end may wait for the
/// other. Meanwhile it notices the client leaving, keeps the time limits, and leaves others their
/// turn.
class Transfer {
 public:
  struct Limits {
    policy::Duration header_timeout;  ///< from the end of the request to the answer's head
    policy::Duration stall_timeout;   ///< a peer takes nothing of what is there for it
    policy::Duration quiet_timeout;   ///< a peer sends nothing; max(): it may be silent
  };
  /// All outlive it. `up` brings the body of the request into the upstream's sink.
  Transfer(ClientStream& client, UpstreamStream& upstream, BodyMover& up, const Limits& limits);
  Transfer(const Transfer&) = delete;

  /// Sends the request and reads the head of its final answer; interim answers go through `filter`,
  /// which may be null, to the client. `sensitive`: they may show a key. Fault::client_gone when
  /// the client left or the drain is over, Fault::bad_request when it broke its framing,
  /// Fault::client_silent when its body did not come.
  Task<Result<void>> head(Response& head, AnswerFilter* filter, bool sensitive);
  /// head() failed because a time limit of the upstream passed.
  bool timed_out() const { return timed_out_; }

  enum class State {
    last_bytes_ready,  ///< once: the record must be written, then body() goes on
    complete,
    failed,  ///< see BodyMover::problem() of `down`
  };
  /// The answer's body goes to the client while the rest of the request's goes upstream. It is over
  /// when the answer is complete. `quiet`: how long a peer may send nothing from here on.
  Task<State> body(BodyMover& down, policy::Duration quiet);
  /// A failure of body() was the silence of a peer, which the record's `error` tells.
  bool silent() const { return silent_; }
  /// Whose a failure of body() was, if it was the client's: Fault::bad_request for broken framing,
  /// Fault::client_gone.
  Fault fault() const { return fault_; }
  /// The client ended its side while nothing of the answer was waiting for it.
  bool left_at_rest() const { return left_at_rest_; }

 private:
  /// What a look at both sides for the answer's head brought.
  enum class HeadStep { blocked, moved, interim, final, failed };
  HeadStep step_for_head(Response& head);
  HeadStep send_for_head();
  Task<HeadStep> relay_interim(Response& head, AnswerFilter* filter, bool sensitive);
  HeadStep prepare_sleep_for_head();
  HeadStep woken_for_head();
  HeadStep late();
  HeadStep fail_with(std::string text, Fault fault = Fault::other);

  BodyMover::Step move_up(std::size_t& moved);
  /// More of the request is here and goes in the next turn.
  bool sends_on() const {
    return !up_ended_ &&
           (up_step_ == BodyMover::Step::moved || up_step_ == BodyMover::Step::last_bytes_ready);
  }
  bool awaits_client() const { return !up_ended_ && up_step_ == BodyMover::Step::no_bytes; }
  std::optional<Error> broken_request() const;
  std::size_t send_beside(BodyMover& down);
  bool prepare_sleep(BodyMover& down, const Silence& silence);
  void woken(BodyMover& down, const Silence& silence);
  SteadyTime now() const { return loop_.now(); }

  ClientStream& client_;
  UpstreamStream& upstream_;
  BodyMover& up_;
  const Limits limits_;
  EventLoop& loop_;
  Turn turn_;
  BodyMover::Step up_step_ = BodyMover::Step::moved;  ///< the last one
  bool up_ended_ = false;  ///< nothing more is sent: all left, or the upstream takes no more
  SteadyTime since_{};     ///< of the silence that is measured, before the head is there
  Error error_;
  bool timed_out_ = false;
  Direction up_way_, down_way_;
  bool whole_ = false;  ///< all of the answer is here, and its record says so
  Fault fault_ = Fault::other;
  bool silent_ = false, left_at_rest_ = false;
};

}  // namespace iron::proxy
