#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "policy/match/ip_address.h"
#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/lookup_steps.h"
#include "proxy/dns/resolv_conf.h"

namespace iron::proxy::dns {

/// `absolute`: the search list of resolv.conf is left out.
enum class Names { searched, absolute };

/// What lookups go by: the configured name server, and the files as they were last read
/// (docs/dns.md, "Lookups"). A value.
struct LookupSources {
  std::uint64_t generation = 0;  ///< another one wherever anything below is different
  ResolvConf conf;
  std::shared_ptr<const HostsFile> hosts;
  bool modules = false;  ///< nsswitch.conf names sources that the C library alone knows
  /// The confined C library cannot read the resolv.conf of today, which was handed over.
  bool library_is_blind = false;

  bool has_upstream = false;
  std::optional<policy::IpAddress> upstream_address;
  std::uint16_t upstream_port = 0;
  std::string upstream_host;   ///< a name to be looked up first
  std::string upstream_fault;  ///< why the configured text is no address

  std::chrono::milliseconds try_limit{5000}, total_limit{10000};

  /// `upstream`: `host:port`, or empty.
  void set_upstream(const std::string& upstream);

  /// The outcome, where nobody needs to be asked.
  std::optional<LookupOutcome> at_once(const std::string& name) const;
  /// Who is to be asked otherwise. `upstream_name`: the name server's own address first.
  enum class Way { network, system, network_then_system, upstream_name };
  Way way() const;
  LookupPlan plan(const std::string& name, Names names) const;
  std::string first_server() const { return conf.servers.front().text_with_port(53); }
};

}  // namespace iron::proxy::dns
