#pragma once

#include "proxy/http/body_source.h"
#include "proxy/http/client_stream.h"
#include "proxy/net/client_connection.h"

namespace iron::proxy {

/// Watches a client during one exchange. After a complete request the end of its side may be a
/// half-close; before that it is the end of the request (docs/life-of-a-request.md, "Gone or
/// half-closed").
class ClientWatch final : public Abandonment {
 public:
  /// Both outlive it. `body` is that of the request: what is left of it may all have come.
  ClientWatch(ClientConnection& client, const BodySource& body) : client_(client), body_(&body) {}
  /// Of what is no request: complete from its beginning, or never.
  ClientWatch(ClientConnection& client, bool complete) : client_(client), complete_(complete) {}

  /// Reads what has come, so that an end is seen.
  Presence poll();
  Presence presence() const { return presence_; }
  /// Gone, or half-closed for longer than an answer is waited for.
  bool abandoned() override;
  SteadyTime half_close_deadline() const { return half_close_deadline_; }

 private:
  bool has_whole_request() const;

  ClientConnection& client_;
  const BodySource* body_ = nullptr;
  const bool complete_ = false;
  Presence presence_ = Presence::present;
  SteadyTime half_close_deadline_ = SteadyTime::max();
};

}  // namespace iron::proxy
