#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "policy/secret/secret.h"
#include "proxy/dns/resolver.h"
#include "proxy/log/distrust_notices.h"
#include "proxy/log/log.h"
#include "proxy/log/rate_limit.h"
#include "proxy/log/recorder.h"
#include "proxy/log/refusal_limiter.h"
#include "proxy/net/body_budget.h"
#include "proxy/net/closing.h"
#include "proxy/net/connection_gate.h"
#include "proxy/net/idle_budget.h"
#include "proxy/net/own_addresses.h"
#include "proxy/net/upstream_tls.h"
#include "transforms/program_need.h"

namespace iron::proxy {

class ProgramRunner;
class SupplyDesk;

/// What all workers share. Made by main, outlives them.
struct Services {
  Log& log;
  SecretEnvironment& environment;
  Resolver& resolver;
  RefusalLimiter& refusals;
  UpstreamTls upstream_tls;
  ConnectionGate gate;
  ClosesUnderWay closes;
  BodyBudget body_budget;
  OwnAddresses own_addresses;
  IdleBudget idle_upstreams;
  DistrustNotices distrust;
  /// Sessions that ended or gave their buffers back: when many did, free memory is worth returning
  /// to the system.
  std::atomic<std::uint64_t> released{0};
  RecordIds record_ids;
  /// Where requests ask for what calls bring; set before any of them can.
  SupplyDesk* supplies = nullptr;
  /// Whether a file that a reload names can be read; null: everything can.
  std::function<bool(const std::string& path)> may_read;
  /// What runs the programs that the configuration of the start named; null: it named none.
  const ProgramRunner* programs = nullptr;
  /// Whether a program that a reload names can be run; null: each can, it is the start.
  std::function<bool(const transforms::ProgramNeed& program)> may_run;
  RateLimit unused_tunnels;     ///< of `tunnel closed without a request`
  RateLimit paused_accepts{1};  ///< of `accept paused`
  /// Reasons of the warnings that are written once; used by the start, then by reloads alone.
  std::set<std::string> written_once;

  Services(Log& log_in,
           SecretEnvironment& environment_in,
           Resolver& resolver_in,
           RefusalLimiter& refusals_in)
      : log(log_in), environment(environment_in), resolver(resolver_in), refusals(refusals_in) {}
};

}  // namespace iron::proxy
