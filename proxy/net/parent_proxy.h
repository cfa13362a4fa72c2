#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/config/config.h"
#include "policy/match/no_proxy.h"
#include "policy/match/proxy_url.h"
#include "policy/secret/secret.h"
#include "proxy/net/upstream_pool.h"

namespace iron::proxy {

/// Which parent proxy a target is reached by: what a configuration or the environment says of it.
/// Immutable.
class ParentProxy {
 public:
  /// None, for any target.
  ParentProxy() = default;
  /// For proxied traffic: the block `proxy.upstream_proxy`, where each variable of the proxy
  /// environment wins over its key. Without the block nothing.
  static ParentProxy of_config(const policy::Config::Proxy::UpstreamProxy& block,
                               const SecretEnvironment& environment);
  /// For calls of our own: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or the same in lower case.
  /// Link-local addresses, where instances find their metadata, are direct.
  static ParentProxy of_environment(const SecretEnvironment& environment);

  /// No target has a parent.
  bool empty() const { return http_.url.kind() == kNone && https_.url.kind() == kNone; }
  /// The parent of `target`, of which `tls` says whether it is asked for by https; null: it is
  /// reached directly. One that is not usable must fail the request. Lives as long as this object.
  const policy::ProxyUrl* of(const UpstreamTarget& target) const { return of(target, target.tls); }
  /// The same where that is decided otherwise: what is relayed unseen counts as https.
  const policy::ProxyUrl* of(const UpstreamTarget& target, bool tls) const;

  /// Keys and variables whose URLs cannot be used.
  std::vector<std::string> unusable() const;

 private:
  static constexpr policy::ProxyUrl::Kind kNone = policy::ProxyUrl::Kind::none;
  struct Parent {
    policy::ProxyUrl url;
    std::string name;  ///< of the key or the variable that it comes from
  };
  static Parent read(const SecretEnvironment& environment,
                     const char* upper,
                     const char* lower,
                     Parent otherwise);

  Parent http_, https_;
  policy::NoProxy direct_;
  bool link_local_is_direct_ = false;
};

/// The variables of the proxy environment that are set and not empty.
std::vector<std::string> proxy_environment();

}  // namespace iron::proxy
