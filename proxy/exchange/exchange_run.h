#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "policy/result.h"
#include "proxy/exchange/decider.h"
#include "proxy/exchange/own_ending.h"
#include "proxy/exchange/request_body.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/exchange/transfer.h"
#include "proxy/exchange/upstreams.h"
#include "proxy/http/client_stream.h"

namespace iron::proxy {

class Site;

/// One exchange, from the complete head of its request to its record: decides, connects, transfers,
/// records. Waits where these must, and knows no protocol: see docs/life-of-a-request.md for the
/// walk.
class ExchangeRun {
 public:
  /// All outlive it. `host`: value of Host, or `:authority`; a view of the head, as the fields of
  /// the state's request are.
  ExchangeRun(Site& site, ClientStream& client, RequestState& state, std::string_view host);
  ExchangeRun(const ExchangeRun&) = delete;
  /// What became of the client's stream is told by that.
  Task<void> run();

 private:
  transforms::Exchange& exchange() { return state_.exchange; }
  const policy::Config& config() const { return snapshot_->config; }

  Task<void> forward();
  bool repeatable();
  Task<bool> carry(UpstreamStream& upstream);
  Task<void> fail_request(const BodyMover& up, const Error& error);
  Task<void> deliver(UpstreamStream& upstream, Transfer& transfer, BodyMover& up);
  std::string judge_answer(const ResponseChecks& checks);
  Task<void> switch_protocols(UpstreamStream& upstream);

  Task<void> end(OwnEnding ending);
  Task<void> fail(const Error& error);
  void record(Action action, int status, std::string_view error);
  void record_refusal(const OwnEnding& ending);
  void record_cut(const Transfer& transfer, const BodyMover& down, bool may_rest);
  std::uint64_t record_id();

  Site& site_;
  ClientStream& client_;
  RequestState& state_;
  const std::shared_ptr<const Snapshot> snapshot_;
  const SteadyTime began_;
  RequestBody body_;
  Decider decider_;
  Upstreams upstreams_;
  std::unique_ptr<AnswerFilter> filter_;  ///< null: answers pass as they are
  std::string_view host_;
  SteadyTime asked_{};      ///< when a connection was looked for
  bool sensitive_ = false;  ///< the answer may show a key
  bool recorded_ = false;
  std::optional<std::uint64_t> relayed_bytes_;  ///< by the client behind its request
  std::uint64_t response_bytes_ = 0;
  std::uint64_t record_id_ = 0;  ///< 0: not taken yet
  std::optional<std::int64_t> upstream_ns_;
};

}  // namespace iron::proxy
