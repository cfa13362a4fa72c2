#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "policy/config/config.h"
#include "policy/match/deny_list.h"
#include "policy/match/pass_through.h"
#include "proxy/http1/head_parser.h"
#include "proxy/net/parent_proxy.h"
#include "tls/context.h"
#include "tls/leaf.h"
#include "transforms/pipeline.h"

namespace iron::proxy {

/// Everything a reload may change, built whole off the workers and shared by them. A request keeps
/// the one it began with.
struct Snapshot {
  policy::Config config;
  policy::DenyList deny_list;
  policy::PassThroughList pass_through;  ///< empty in sni-only mode
  ParentProxy parents;
  std::shared_ptr<const transforms::Pipeline> pipeline;
  /// Null in sni-only mode.
  std::shared_ptr<tls::LeafStore> leaves;
  std::shared_ptr<const tls::ServerContext> server_tls;

  /// Real keys are put into requests: nothing that an upstream sends may be quoted in the log.
  bool gives_keys() const { return pipeline != nullptr && pipeline->gives_keys(); }
  HeadLimits head_limits() const {
    const policy::Limits& limits = config.proxy.limits;
    HeadLimits result;
    result.bytes = static_cast<std::size_t>(limits.request_head_bytes);
    result.connect_bytes = static_cast<std::size_t>(limits.connect_head_bytes);
    result.fields = static_cast<std::size_t>(limits.request_head_fields);
    return result;
  }
};

}  // namespace iron::proxy
