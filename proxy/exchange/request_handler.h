#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "proxy/exchange/answer_scrub.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/round_trip.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/exchange/upload.h"
#include "proxy/http/answers.h"
#include "proxy/http/header_rules.h"
#include "proxy/http/max_forwards.h"
#include "proxy/http1/client_watch.h"
#include "proxy/http1/http1_body.h"
#include "proxy/net/upstream_pool.h"

namespace iron::proxy {

class AnswerRelay;
class Delivery;

/// One request from its complete head to its record. Lives in the frame of the connection's loop;
/// see docs/life-of-a-request.md for the walk. Split over request_handler.cc (checks, policy),
/// own_answers.cc (answers of our own, the record), forward.cc (to the upstream and back) and
/// websocket.cc.
class RequestHandler {
 public:
  RequestHandler(Site& site,
                 ClientConnection& client,
                 RequestStatePtr state,
                 Buffer head,
                 const RequestChecks& checks);
  /// Serves it. True if the connection can carry another request.
  Task<bool> run();

 private:
  transforms::Exchange& exchange() { return state_->exchange; }
  const policy::Config& config() const { return snapshot_->config; }
  Pause& pause() { return client_.pause(); }

  // request_handler.cc
  HeadFault read_target();
  bool fill_exchange();
  policy::DotSegments dot_segments() const;
  std::string_view refusal_before_policy();
  Task<bool> run_policy();
  Task<Result<void>> load_body(transforms::BodyNeed need);
  Task<BodySource::Step> next_of_body(std::string_view& bytes, policy::Duration patience);
  Task<bool> send_continue();
  /// The answer may show a key.
  bool sensitive() const { return secret_sent_ || filter_ != nullptr; }
  void fill_target();

  // own_answers.cc
  Task<bool> refuse(std::string_view error);
  void record_refusal(std::string_view path, std::string_view error, int status);
  Task<bool> refuse_closing(HeadFault fault);
  Task<bool> deny(std::string_view rejected_by);
  /// Answers a failure of policy or upstream and records it.
  Task<bool> answer_failure(Error error);
  Task<bool> send_own_answer(
      std::string answer, int status, Action action, std::string_view error, bool must_close);
  Task<bool> finish_request_body(bool must_close);
  bool wants_close() const;
  AnswerContext answer_context(bool close) const;
  bool body_will_be_dropped() const;
  std::uint64_t record_id();
  void write_record(Action action, int status, std::string_view error);

  // forward.cc
  Task<bool> send_on();
  Task<bool> answer_last_hop();
  Task<bool> forward();
  enum class Source { pool_or_dial, dial };
  Task<Result<UpstreamPtr>> acquire(Source source);
  /// Whether the head holds credentials that authenticate the connection.
  bool compose(Upload& upload);
  Task<Result<void>> exchange_heads(UpstreamConnection& upstream, Upload& upload, Reply& reply);
  std::string judge_answer(const ResponseChecks& checks);
  bool repeatable() const;
  FaultText fault_text() const;
  Task<bool> refuse_trace();
  Task<bool> deliver(UpstreamPtr upstream, Upload& upload, Reply& reply);
  void record_cut(const AnswerRelay& relay, const Delivery& delivery, bool recorded);
  void release(UpstreamPtr upstream);

  // websocket.cc
  Task<bool> upgrade();
  Task<void> relay_websocket(UpstreamPtr upstream, Reply& reply);

  Site& site_;
  ClientConnection& client_;
  RequestStatePtr state_;
  Buffer head_;
  std::shared_ptr<const Snapshot> snapshot_;
  BodyFraming framing_;
  Http1Body body_;  ///< the client's body, as far as it was not loaded
  ClientWatch watch_;
  Buffer loaded_body_;  ///< what a transform asked for
  BodyShare body_share_;
  Error body_failure_;          ///< why it ended early
  std::string_view host_text_;  ///< as received, for Host and record
  HopByHop hop_by_hop_;
  FewerForwards fewer_forwards_;
  bool expects_continue_ = false;
  bool continue_sent_ = false;
  bool secret_sent_ = false;
  std::unique_ptr<AnswerFilter> filter_;  ///< null: answers pass as they are
  SteadyTime began_;
  std::optional<std::uint64_t> relayed_bytes_;  ///< by the client behind its request
  std::uint64_t left_out_ = 0;  ///< bytes of the body that were read and found to be too many
  std::uint64_t response_bytes_ = 0;
  std::uint64_t record_id_ = 0;  ///< 0: not taken yet
  std::optional<std::int64_t> upstream_ns_;
};

}  // namespace iron::proxy
