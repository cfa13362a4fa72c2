#pragma once

#include <functional>

#include "policy/http_message.h"
#include "policy/match/deny_list.h"
#include "policy/match/url.h"
#include "policy/result.h"
#include "policy/task.h"
#include "proxy/http1/secret_pages.h"
#include "proxy/net/dialer.h"
#include "proxy/net/parent_proxy.h"
#include "proxy/net/upstream_pool.h"
#include "proxy/wait/buffers.h"
#include "proxy/wait/pause.h"
#include "transforms/outside.h"

namespace iron::proxy {

class AnswerText;
class BodyMover;
class BodySource;
class Http1Upstream;

/// Sends the program's own requests, by the upstream side that serves those of clients: the same
/// lookups, dials, TLS and HTTP/1. The deny list, which is there for what clients ask for, does not
/// hold for them. One loop's; everything outlives the calls.
class CallClient {
 public:
  /// `parents`: whom calls go through that name no parent of their own.
  CallClient(EventLoop& loop, Dialer& dialer, UpstreamPool& pool, ParentProxy parents)
      : loop_(loop), dialer_(dialer), pool_(pool), parents_(std::move(parents)) {}
  CallClient(const CallClient&) = delete;

  /// Whose wait it is: `pause` is woken when `over()` begins to hold, and nothing is done for it
  /// from then on.
  struct Terms {
    Pause& pause;
    std::function<bool()> over;
  };
  /// One request and its answer, redirects followed as it says. Errors as transforms::Outside has
  /// them.
  Task<Result<transforms::CallAnswer>> send(const transforms::CallRequest& request, Terms& terms);

 private:
  struct Hop;
  Task<Result<transforms::CallAnswer>> send_once(const Hop& hop, Terms& terms);
  Task<Result<UpstreamPtr>> connect(const Hop& hop, Terms& terms);
  Task<Result<void>> exchange(const Hop& hop,
                              Terms& terms,
                              Http1Upstream& upstream,
                              transforms::CallAnswer& answer);
  static Task<Result<void>> reach_head(Terms& terms,
                                       Http1Upstream& upstream,
                                       BodyMover& up,
                                       Response& response);
  static Task<Result<void>> read_body(Terms& terms, BodySource& source, AnswerText& text);

  EventLoop& loop_;
  Dialer& dialer_;
  UpstreamPool& pool_;
  const ParentProxy parents_;
  SecretPages pages_;
  BufferPool buffers_;
  const policy::DenyList nothing_denied_;
};

}  // namespace iron::proxy
