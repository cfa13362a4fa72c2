#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/net/upstream_pool.h"

namespace iron::proxy {

/// The idle upstream connections that belong to one client connection, because an origin may take
/// whoever speaks on them for the user who logged in there (NTLM and Negotiate authenticate
/// connections; UpstreamConnection::belong_to_client). One per scheme, host and port; nobody else
/// gets them, and they are closed with their owner. Beyond eight the oldest is closed.
class OwnUpstreams {
 public:
  bool empty() const { return idle_.empty(); }
  /// The one for `key`, or null. One that has ended, or that was made under another configuration
  /// than `configuration`, is closed.
  UpstreamPtr take(const std::string& key, const std::shared_ptr<const void>& configuration);
  /// `connection`, idle now, was made under `configuration`.
  void keep(UpstreamPtr connection, const std::shared_ptr<const void>& configuration);
  /// Gives OpenSSL's record buffers back; called while the client sleeps for long.
  void free_buffers();
  std::size_t size() const { return idle_.size(); }

 private:
  struct Own {
    UpstreamPtr connection;
    std::weak_ptr<const void> configuration;  ///< weak: an old one, and its keys, must go
  };
  std::vector<Own> idle_;  ///< oldest first
};

}  // namespace iron::proxy
