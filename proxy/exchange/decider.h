#pragma once

#include <memory>
#include <string_view>

#include "policy/result.h"
#include "proxy/exchange/own_ending.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/snapshot.h"
#include "proxy/http/answer_filter.h"
#include "proxy/http/max_forwards.h"
#include "proxy/net/client.h"

namespace iron::proxy {

/// What is done with a request, decided from its head, the client and the configuration alone.
/// Knows neither sockets nor time: who runs the exchange waits for what it asks for and asks again.
class Decider {
 public:
  /// All outlive it. `host`: value of Host, or `:authority`.
  Decider(const Snapshot& snapshot,
          RequestState& state,
          const ClientFacts& client,
          const BodyFraming& framing,
          std::string_view host)
      : snapshot_(snapshot), state_(state), client_(client), framing_(framing), host_(host) {}

  enum class Next {
    load_body,     ///< body_loaded() is next, when what body_need() tells is loaded
    await_supply,  ///< supply_came() is next, when the exchange has what it awaits
    answer,        ///< as ending() says
    forward,       ///< an upgrade too: the exchange says which it is
  };
  /// Reads the head.
  Next begin();
  const transforms::BodyNeed& body_need() const { return need_; }
  /// What RequestBody::load() made of it. Where the client broke off, `body.failed` of the exchange
  /// is set, and transforms say so in the record before that ends the request.
  Next body_loaded(const Result<void>& loaded);
  Next supply_came() { return judge(); }
  /// Ends with that failure.
  Next fail(const Error& error);

  OwnEnding& ending() { return ending_; }
  /// As received: of the field, or of the target where it has one.
  std::string_view host() const { return host_; }
  /// The server name of the client's TLS is another host's: worth a line.
  bool server_name_differs() const { return server_name_differs_; }
  /// What the answer goes through; null: it passes as it is. Given away once.
  std::unique_ptr<AnswerFilter> take_filter() { return std::move(filter_); }

 private:
  Next end(OwnEnding ending);
  std::string_view refusal_before_policy();
  policy::DotSegments dot_segments() const;
  Next judge();
  Next passed();

  transforms::Exchange& exchange() { return state_.exchange; }

  const Snapshot& snapshot_;
  RequestState& state_;
  const ClientFacts client_;
  const BodyFraming& framing_;
  std::string_view host_;
  transforms::BodyNeed need_;
  OwnEnding ending_;
  Error broken_off_;  ///< why, where `body.failed`
  std::unique_ptr<AnswerFilter> filter_;
  FewerForwards fewer_forwards_;
  bool server_name_differs_ = false;
};

}  // namespace iron::proxy
