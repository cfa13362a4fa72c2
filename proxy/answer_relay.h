#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/answer_scrub.h"
#include "proxy/body_reader.h"
#include "proxy/client_session.h"
#include "proxy/header_rules.h"
#include "proxy/request_state.h"
#include "proxy/round_trip.h"

namespace iron::proxy {

/// Brings an answer to the client: head first, together with the first body bytes, then the body
/// piece by piece as it comes, with back-pressure. Framing is kept where the client's version
/// allows it; a body that ends early never looks whole.
class AnswerRelay {
 public:
  struct Client {
    int minor_version = 1;
    bool keep_alive = true;  ///< wanted; what is possible is in the outcome
    bool te_trailers = false;
    bool sensitive = false;        ///< the answer may echo a key
    AnswerScrub* scrub = nullptr;  ///< what its body must go through; null: nothing
    policy::Duration stall_timeout{};
  };
  AnswerRelay(ClientSession& session,
              UpstreamConnection& upstream,
              RequestState& state,
              Reply& reply,
              const Client& client)
      : session_(session),
        upstream_(upstream),
        state_(state),
        reply_(reply),
        client_(client),
        out_(state.answer_head) {}

  struct Outcome {
    std::string problem;   ///< why the client did not get all of it; empty: it did
    bool begun = false;    ///< the client may have seen a part of it
    bool refused = false;  ///< `scrub` did not let it pass
    std::uint64_t bytes = 0;
    bool upstream_reusable = false;
    bool client_reusable = false;
  };
  /// `complete(bytes)` is called when the last bytes are ready to leave: the record stands in the
  /// log before the client can act on the answer.
  Task<Outcome> run(const BodyFraming& framing, const std::function<void(std::uint64_t)>& complete);

 private:
  enum class Step { moved, blocked, ended, failed, due };
  void plan(const BodyFraming& framing);
  void write_head();
  bool gather();
  bool gather_filtered();
  bool filter_pieces();
  bool refuse(const Error& why);
  bool finished() const { return body_.done() && !piece_; }
  bool withholds() const;
  Task<bool> flush();
  Step read_step();
  Task<Step> wait();
  void settle_in_bulk();
  Step fail_with(std::string_view problem);
  Task<void> relay_body(const std::function<void(std::uint64_t)>& complete);

  ClientSession& session_;
  UpstreamConnection& upstream_;
  RequestState& state_;
  Reply& reply_;
  Client client_;
  std::string& out_;  ///< composed bytes: head, chunk framing, small pieces
  std::string_view
      straight_;  ///< body bytes that leave the upstream's buffer as they are, behind out_
  std::size_t straight_consumed_ = 0;
  BodyReader body_;
  std::optional<BodyReader::Piece> piece_;  ///< not yet filtered to its end
  std::string filtered_;
  SteadyTime withhold_until_{};  ///< until then an answer that may be cut is not begun
  ClientFraming framing_ = ClientFraming::none;
  bool drop_length_ = false;
  bool keep_trailers_ = false;
  bool chunking_ = false;  ///< chunk framing is written here
  bool last_chunk_written_ = false;
  bool events_ = false;
  bool bulk_ = false;
  Outcome outcome_;
};

}  // namespace iron::proxy
