#pragma once

#include "policy/result.h"
#include "proxy/exchange/answer_relay.h"
#include "proxy/exchange/round_trip.h"
#include "proxy/exchange/upload.h"
#include "proxy/http1/client_watch.h"
#include "proxy/net/silence.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// What is left of an exchange when the head of its final answer is there: the answer goes to the
/// client while the rest of the request's body goes upstream, side by side, for either end may wait
/// for the other. It is over when the answer is complete.
class Delivery {
 public:
  Delivery(Site& site,
           ClientWatch& watch,
           UpstreamConnection& upstream,
           Upload& upload,
           AnswerRelay& relay,
           Reply& reply,
           const Silence& silence);

  enum class State {
    last_bytes_ready,  ///< once: the record must be written, then run() goes on
    complete,
    failed,  ///< see AnswerRelay::problem()
  };
  Task<State> run();

  /// A failure was the silence of a peer, which the record's `error` tells.
  bool silent() const { return silent_; }
  /// Whose a failure was, if it was the client's: Fault::bad_request for broken framing,
  /// Fault::client_gone.
  Fault fault() const { return fault_; }
  /// The client ended its side while nothing of the answer was waiting for it.
  bool left_at_rest() const { return left_at_rest_; }

 private:
  std::size_t upload_step();
  void upload_broke(std::string_view problem, Fault fault);
  bool sleep_is_due();
  void woken();
  SteadyTime now() const { return client_.loop().now(); }

  Site& site_;
  ClientWatch& watch_;
  ClientConnection& client_;
  UpstreamConnection& upstream_;
  Upload& upload_;
  AnswerRelay& relay_;
  Reply& reply_;
  const Silence silence_;
  Direction up_, down_;
  Turn turn_;
  bool upload_ended_ = false;
  bool whole_ = false;  ///< all of the answer is here, and its record says so
  Fault fault_ = Fault::other;
  bool silent_ = false, left_at_rest_ = false;
};

}  // namespace iron::proxy
