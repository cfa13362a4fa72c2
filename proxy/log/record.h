#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/log/log.h"
#include "transforms/exchange.h"

namespace iron::proxy {

enum class Action { allow, reject, stub, error, client_cancel };

/// Everything one request record says; docs/records.md lists the keys. Views are valid while it is
/// rendered.
struct Record {
  std::string_view host, method, path, remote_addr, sni;
  transforms::Mode mode = transforms::Mode::mitm;
  Action action = Action::allow;
  int status_code = 200;
  std::int64_t duration_ns = 0;
  std::uint64_t request_bytes = 0, response_bytes = 0;
  std::string_view upstream_addr;  ///< empty: key absent
  std::optional<std::int64_t> upstream_ns;
  struct Tls {
    std::string_view version;  ///< `1.2` or `1.3`
    bool resumed = false;
  };
  std::optional<Tls> tls;
  std::uint64_t id = 0;
  bool name_only = false;           ///< `deny_check`: the parent proxy got a name nobody here knows
  std::string_view upstream_proxy;  ///< empty: key absent
  std::string_view tunnel;          ///< rendered `"tunnel":{…}` of render_tunnel(), or empty
  std::string_view rejected_by;     ///< empty: key absent
  std::string_view stubbed_by;      ///< empty: key absent
  std::string_view error;           ///< empty: key absent
  /// Traces and capture; null for refusals before policy.
  const transforms::Exchange* exchange = nullptr;
};

/// An id as records show it: 16 hexadecimal digits.
std::string record_id_text(std::uint64_t id);
/// The refusal of a host that `quiet` of the allowlist names.
bool is_quiet(const Record& record);
/// Level by action: reject is WARN, or DEBUG where it is quiet, error ERROR, else INFO.
Level level_of(const Record& record);
/// Appends the whole line with its line feed.
void render(const Record& record, std::string& out);
/// The `tunnel` group, rendered once per tunnel from the exchange of its check:
/// `"tunnel":{"target":"host:port","request_transforms":[…]}`.
std::string render_tunnel(std::string_view target, const transforms::Exchange& check);

}  // namespace iron::proxy
