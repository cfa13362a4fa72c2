#pragma once

#include <optional>
#include <string>

#include "proxy/http/client_stream.h"
#include "proxy/http/header_rules.h"
#include "proxy/http1/client_watch.h"
#include "proxy/http1/http1_answer.h"
#include "proxy/http1/http1_body.h"
#include "proxy/net/client_connection.h"

namespace iron::proxy {

/// One request on a client's HTTP/1 connection, and its answer: what the two leave of the
/// connection is told by goes_on().
class Http1Client final : public ClientStream {
 public:
  /// `request` was read from `head`, and `checks` are its; what lies behind the head is in the
  /// client's input. An answer's head is put together in `composed`, which is empty. All but `head`
  /// outlive the stream.
  Http1Client(ClientConnection& client,
              const Request& request,
              Buffer head,
              const RequestChecks& checks,
              std::string& composed);

  /// The connection can carry another request.
  bool goes_on() const { return goes_on_; }

  Client& client() override { return client_; }
  Pause& pause() override { return client_.pause(); }
  const BodyFraming& framing() const override { return framing_; }
  BodySource& body() override { return body_; }
  bool logs_connection_in() const override { return hop_by_hop_.connection_login; }
  Task<bool> go_on() override;
  Presence poll() override { return watch_.poll(); }
  bool abandoned() override { return watch_.abandoned(); }
  SteadyTime half_close_deadline() const override { return watch_.half_close_deadline(); }
  bool takes_interim(int status) const override;
  Task<bool> send_interim(Response& head, bool sensitive) override;
  BodySink& begin(Response& head,
                  const BodyFraming& framing,
                  const BodySource& body,
                  const Terms& terms) override;
  bool ended() override;
  Task<void> end() override;
  Task<void> answer(const OwnAnswer& answer) override;
  void reset() override { client_.stream().reset_on_close(); }
  Task<bool> switch_protocols(Response& head, bool sensitive) override;
  Pipe pipe() override { return {client_.connection(), std::move(client_.input())}; }

 private:
  bool wants_close() const;
  bool body_will_be_dropped() const;
  Task<void> drop_body();

  ClientConnection& client_;
  const Request& request_;
  const int minor_version_;
  Buffer head_;
  const BodyFraming framing_;
  const HopByHop hop_by_hop_;
  Http1Body body_;
  ClientWatch watch_;
  std::string& composed_;
  std::optional<Http1Answer> answer_;
  const bool expects_continue_;
  bool continue_sent_ = false;
  bool goes_on_ = false;
};

}  // namespace iron::proxy
