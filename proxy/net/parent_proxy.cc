#include "proxy/net/parent_proxy.h"

#include <cstdlib>
#include <utility>

namespace iron::proxy {
namespace {

using policy::ProxyUrl;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

/// A list of hosts is no secret, and stays where it is.
std::string_view no_proxy(std::string_view otherwise) {
  for (const char* name : {"NO_PROXY", "no_proxy"}) {
    if (!variable(name).empty()) return variable(name);
  }
  return otherwise;
}

bool is_link_local(const policy::IpAddress& address) {
  const auto& bytes = address.bytes();
  if (address.is_v4()) return bytes[0] == 169 && bytes[1] == 254;
  return bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80;
}

}  // namespace

/// The URL leaves the environment for secret memory, because it may hold a password.
ParentProxy::Parent ParentProxy::read(const SecretEnvironment& environment,
                                      const char* upper,
                                      const char* lower,
                                      Parent otherwise) {
  for (const char* name : {upper, lower}) {
    if (const Secret* url = environment.find(name)) return {ProxyUrl::parse(url->reveal()), name};
  }
  return otherwise;
}

ParentProxy ParentProxy::of_config(const policy::Config::Proxy::UpstreamProxy& block,
                                   const SecretEnvironment& environment) {
  ParentProxy parents;
  if (!block.present) return parents;
  parents.http_ = read(environment, "HTTP_PROXY", "http_proxy",
                       {block.http_proxy, "proxy.upstream_proxy.http_proxy"});
  parents.https_ = read(environment, "HTTPS_PROXY", "https_proxy",
                        {block.https_proxy, "proxy.upstream_proxy.https_proxy"});
  parents.direct_ = policy::NoProxy(no_proxy(block.no_proxy));
  return parents;
}

ParentProxy ParentProxy::of_environment(const SecretEnvironment& environment) {
  policy::Config::Proxy::UpstreamProxy empty;
  empty.present = true;
  ParentProxy parents = of_config(empty, environment);
  parents.link_local_is_direct_ = true;
  return parents;
}

const ProxyUrl* ParentProxy::of(const UpstreamTarget& target, bool tls) const {
  const ProxyUrl& url = tls ? https_.url : http_.url;
  if (url.kind() == kNone) return nullptr;
  if (direct_.matches(target.host, target.literal, target.port)) return nullptr;
  if (link_local_is_direct_ && target.literal && is_link_local(*target.literal)) return nullptr;
  return &url;
}

std::vector<std::string> ParentProxy::unusable() const {
  std::vector<std::string> names;
  for (const Parent* parent : {&http_, &https_}) {
    if (parent->url.kind() == ProxyUrl::Kind::unusable) names.push_back(parent->name);
  }
  return names;
}

std::vector<std::string> proxy_environment() {
  std::vector<std::string> names;
  for (const char* name :
       {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}) {
    if (!variable(name).empty()) names.emplace_back(name);
  }
  return names;
}

}  // namespace iron::proxy
