#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/exchange/answer_scrub.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/round_trip.h"
#include "proxy/http/header_rules.h"
#include "proxy/http1/body_reader.h"
#include "proxy/http1/client_watch.h"

namespace iron::proxy {

/// Brings an answer to the client: head first, together with the first body bytes, then the body
/// piece by piece as it comes, with back-pressure. Framing is kept where the client's version
/// allows it; a body that ends early never looks whole. Never waits: Delivery does.
class AnswerRelay {
 public:
  struct Terms {
    int minor_version = 1;
    bool keep_alive = true;  ///< wanted; what is possible is in client_reusable()
    bool te_trailers = false;
    bool sensitive = false;        ///< the answer may echo a key
    AnswerScrub* scrub = nullptr;  ///< what its body must go through; null: nothing
  };
  AnswerRelay(Site& site,
              ClientConnection& client,
              UpstreamConnection& upstream,
              RequestState& state,
              Reply& reply,
              const BodyFraming& framing,
              const Terms& terms);
  ~AnswerRelay();
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
  /// it does not wait.
  SteadyTime withheld_until() const;
  /// To be called before the upstream's connection is used for anything else.
  void end_bulk();
  /// Ends what cannot be completed: a client that has some of it sees that it is not whole.
  void cut(std::string_view problem);

  const std::string& problem() const { return problem_; }  ///< empty: none
  bool refused() const { return refused_; }                ///< `scrub` did not let it pass
  /// The problem is that nothing can be written to the client any more.
  bool client_lost() const { return client_lost_; }
  bool begun() const { return begun_; }  ///< the client may have seen a part of it
  std::uint64_t bytes() const { return bytes_; }
  /// Bytes of it are composed and not taken yet.
  bool has_pending() const { return out_sent_ < out_.size() || !straight_.empty(); }
  /// No byte is left that belongs to no answer.
  bool upstream_reusable() const { return upstream_reusable_ && reply_.input.empty(); }
  bool client_reusable() const { return client_reusable_; }

 private:
  void plan(const BodyFraming& framing);
  void write_head();
  bool gather();
  bool gather_filtered();
  bool filter_pieces();
  bool refuse(const Error& why);
  bool finished() const { return body_.done() && !piece_; }
  Step write_step(std::size_t& moved);
  Step read_step(std::size_t& moved);
  void settle_in_bulk();
  Step fail_with(std::string_view problem);

  Site& site_;
  ClientConnection& client_;
  UpstreamConnection& upstream_;
  RequestState& state_;
  Reply& reply_;
  Terms terms_;
  std::string& out_;  ///< composed bytes: head, chunk framing, small pieces
  std::size_t out_sent_ = 0;
  std::string_view
      straight_;  ///< body bytes that leave the upstream's buffer as they are, behind out_
  std::size_t straight_consumed_ = 0;
  BodyReader body_;
  std::optional<BodyReader::Piece> piece_;  ///< not yet filtered to its end
  std::string filtered_;
  SteadyTime withhold_until_ = SteadyTime::max();
  ClientFraming framing_ = ClientFraming::none;
  std::string problem_;
  std::uint64_t bytes_ = 0;
  bool gathered_ = false;  ///< what the upstream's buffer holds was taken out of its framing
  bool told_ready_ = false, begun_ = false, refused_ = false, client_lost_ = false;
  bool upstream_reusable_ = false, client_reusable_ = false;
  bool drop_length_ = false;
  bool keep_trailers_ = false;
  bool chunking_ = false;  ///< chunk framing is written here
  bool last_chunk_written_ = false;
  bool bulk_ = false;
};

/// The answer's type says that its origin is silent for as long as it likes: event streams, gRPC.
bool may_be_silent(const Headers& headers);

}  // namespace iron::proxy
