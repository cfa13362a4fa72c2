#include "proxy/dns/lookup_sources.h"

#include <algorithm>

#include "policy/config/listen_address.h"

namespace iron::proxy::dns {

void LookupSources::set_upstream(const std::string& upstream) {
  has_upstream = !upstream.empty();
  if (!has_upstream) return;
  const auto parts = policy::split_host_port(upstream);
  if (!parts) {
    upstream_fault = "dial udp: " + parts.error().text;
    return;
  }
  const auto port = policy::parse_port(parts->port, policy::Transport::udp);
  if (!port) {
    upstream_fault = "dial udp: " + port.error().text;
    return;
  }
  upstream_port = *port;
  upstream_address = parts->host.empty() ? policy::IpAddress::v4({127, 0, 0, 1})
                                         : policy::IpAddress::parse(parts->host);
  if (!upstream_address) upstream_host = parts->host;
}

std::optional<LookupOutcome> LookupSources::at_once(const std::string& name) const {
  if (!is_domain_name(name)) {
    return LookupOutcome{
        LookupOutcome::Status::no_such_name, {}, lookup_error(name, "", "no such host")};
  }
  if (const auto* found = hosts->find(name)) return LookupOutcome::of(*found);
  if (upstream_fault.empty()) return std::nullopt;
  return LookupOutcome::failure(lookup_error(name, first_server(), upstream_fault));
}

LookupSources::Way LookupSources::way() const {
  if (!has_upstream && modules) return library_is_blind ? Way::network_then_system : Way::system;
  if (!has_upstream) return Way::network;
  return upstream_address ? Way::network : Way::upstream_name;
}

LookupPlan LookupSources::plan(const std::string& name, Names names) const {
  LookupPlan plan;
  plan.name = name;
  if (names == Names::searched) {
    plan.names = conf.names_for(name);
  } else {
    plan.names = conf.names_for(name.ends_with('.') ? name : name + ".");
  }
  for (const policy::IpAddress& server : conf.servers) {
    // Errors name the server of resolv.conf, whoever was asked: scripts match on it.
    plan.servers.push_back({upstream_address.value_or(server),
                            upstream_address ? upstream_port : std::uint16_t{53},
                            server.text_with_port(53)});
  }
  plan.attempts = conf.attempts;
  plan.try_limit = std::min<std::chrono::milliseconds>(try_limit, conf.timeout);
  plan.total_limit = total_limit;
  return plan;
}

}  // namespace iron::proxy::dns
