#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/config/config.h"
#include "policy/match/rules.h"
#include "policy/warnings.h"
#include "proxy/dns/lookup_outcome.h"
#include "proxy/dns/message.h"

namespace iron::proxy::dns {

/// What the name server says to a question: a static record, what a lookup finds, or the proxy's
/// own address (docs/dns.md, "Which answer"). Immutable.
class Zone {
 public:
  /// Throws ConfigError `invalid proxy_ip (must be IPv4): "…"`. Adds a `dns record not used`
  /// warning for each static record that can not be served.
  Zone(const policy::Config::Dns& config, std::vector<policy::ConfigWarning>& warnings);

  struct Decision {
    enum class Kind { static_record, passthrough, intercept } kind = Kind::intercept;
    std::string name;                   ///< lower case with its final dot, for log records
    std::vector<AnswerRecord> records;  ///< empty for passthrough
    /// Passthrough: the name to look up.
    std::string_view lookup_name() const;
  };
  Decision decide(const Query& query) const;

 private:
  struct Static {
    std::uint16_t type;
    std::string data;
  };
  bool add_record(const policy::DnsRecord& record);

  std::string proxy_address_;  ///< four bytes
  std::unordered_map<std::string, Static> records_;
  std::vector<policy::HostPattern> passthrough_;
};

struct PassthroughAnswer {
  Rcode rcode;
  std::vector<AnswerRecord> records;
};
/// IPv4 addresses for a question of type A, nothing for other types; failures as the upstream told
/// them.
PassthroughAnswer passthrough_answer(const LookupOutcome& outcome, std::uint16_t type);

}  // namespace iron::proxy::dns
