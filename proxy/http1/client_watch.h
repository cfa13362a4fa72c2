#pragma once

#include "proxy/http/body_source.h"
#include "proxy/net/client_connection.h"

namespace iron::proxy {

/// What the client's side of a connection did while an answer is awaited or written.
enum class Presence { present, half_closed, gone };

/// Watches a client during one exchange. After a complete request the end of its side may be a
/// half-close; before that it is the end of the request (docs/life-of-a-request.md, "Gone or
/// half-closed").
class ClientWatch final : public Abandonment {
 public:
  /// Both outlive it. `body` is that of the request: what is left of it may all have come.
  ClientWatch(ClientConnection& client, const BodySource& body) : client_(client), body_(&body) {}
  /// Of what is no request: complete or not from its beginning.
  ClientWatch(ClientConnection& client, bool complete) : client_(client), complete_(complete) {}

  ClientConnection& client() { return client_; }
  /// Reads what has come, so that an end is seen.
  Presence poll();
  Presence presence() const { return presence_; }
  /// Gone, or half-closed for longer than an answer is waited for.
  bool abandoned() override;
  /// The request was read whole.
  void request_complete(bool complete) { complete_ = complete; }
  SteadyTime half_close_deadline() const { return half_close_deadline_; }

 private:
  bool has_whole_request() const;

  ClientConnection& client_;
  const BodySource* body_ = nullptr;
  bool complete_ = false;
  Presence presence_ = Presence::present;
  SteadyTime half_close_deadline_ = SteadyTime::max();
};

}  // namespace iron::proxy
