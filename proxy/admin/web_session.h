#pragma once

#include <optional>
#include <string>

#include "proxy/admin/web_handler.h"
#include "proxy/exchange/site.h"
#include "proxy/http1/head_parser.h"
#include "proxy/net/bound_socket.h"
#include "proxy/net/connection.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {

/// One connection of a WebServer: requests one after another, until one of them ends it.
class WebSession {
 public:
  /// `site` and `pages` outlive it.
  WebSession(Site& site, WebHandler& pages, BoundSocket socket, std::string remote);
  WebSession(const WebSession&) = delete;
  Task<void> run();

 private:
  Task<bool> read_head(bool first);
  void judge(bool complete);
  Task<bool> exchange();
  Task<void> wait_for(WebHandler::Reply& reply);
  Task<bool> drop_body();
  Task<void> close_gently();

  Site& site_;
  WebHandler& pages_;
  std::string remote_;
  policy::Limits limits_;
  HeadLimits head_limits_;
  Pause pause_;
  Connection client_;
  Buffer input_;
  HeadParser parser_{HeadParser::Kind::request};
  Request head_;  ///< views into the input
  RequestChecks checks_;
  std::optional<WebRequest> request_;
};

}  // namespace iron::proxy
