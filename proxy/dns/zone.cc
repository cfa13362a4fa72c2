#include "proxy/dns/zone.h"

#include <algorithm>
#include <utility>

#include "policy/quote.h"

namespace iron::proxy::dns {
namespace {

std::string four_bytes(const policy::IpAddress& address) {
  return {address.bytes().begin(), address.bytes().begin() + 4};
}

std::string_view without_dot(std::string_view name) {
  name.remove_suffix(1);
  return name;
}

}  // namespace

Zone::Zone(const policy::Config::Dns& config, std::vector<policy::ConfigWarning>& warnings) {
  const auto proxy_address = policy::IpAddress::parse(config.proxy_ip);
  if (!proxy_address || !proxy_address->is_v4()) {
    throw policy::ConfigError("invalid proxy_ip (must be IPv4): " +
                              policy::quoted(config.proxy_ip));
  }
  proxy_address_ = four_bytes(*proxy_address);
  for (const policy::DnsRecord& record : config.records) {
    if (add_record(record)) continue;
    warnings.push_back(
        {"dns record not used", {{"name", record.name, false}, {"value", record.value, false}}});
  }
  for (const std::string& pattern : config.passthrough) passthrough_.emplace_back(pattern);
}

bool Zone::add_record(const policy::DnsRecord& record) {
  const auto name = wire_name(record.name);
  if (!name) return false;
  Static entry;
  if (record.type == "A") {
    const auto address = policy::IpAddress::parse(record.value);
    if (!address || !address->is_v4()) return false;
    entry = {kTypeA, four_bytes(*address)};
  } else {
    const auto target = wire_name(record.value);
    if (!target) return false;
    entry = {kTypeCname, *target};
  }
  records_.insert_or_assign(name_text(*name), std::move(entry));
  return true;
}

std::string_view Zone::Decision::lookup_name() const { return without_dot(name); }

Zone::Decision Zone::decide(const Query& query) const {
  Decision decision;
  decision.name = name_text(query.name);
  if (const auto found = records_.find(decision.name); found != records_.end()) {
    // An alias is the answer to a question for addresses too (RFC 1034 section 3.6.2).
    const Static& record = found->second;
    if (query.type == record.type || (record.type == kTypeCname && query.type == kTypeA)) {
      decision.kind = Decision::Kind::static_record;
      decision.records.push_back({record.type, record.data});
      return decision;
    }
  }
  const std::string_view host = decision.lookup_name();
  const bool pass = std::any_of(passthrough_.begin(), passthrough_.end(),
                                [host](const auto& pattern) { return pattern.matches(host); });
  if (pass) {
    decision.kind = Decision::Kind::passthrough;
    return decision;
  }
  if (query.type == kTypeA) decision.records.push_back({kTypeA, proxy_address_});
  return decision;
}

PassthroughAnswer passthrough_answer(const LookupOutcome& outcome, std::uint16_t type) {
  PassthroughAnswer answer{Rcode::no_error, {}};
  switch (outcome.status) {
    case LookupOutcome::Status::found:
      for (const policy::IpAddress& address : outcome.addresses) {
        if (type == kTypeA && address.is_v4())
          answer.records.push_back({type, four_bytes(address)});
      }
      break;
    case LookupOutcome::Status::no_such_name:
      answer.rcode = Rcode::no_such_name;
      break;
    case LookupOutcome::Status::no_addresses:
      break;
    case LookupOutcome::Status::failed:
      answer.rcode = Rcode::server_failure;
      break;
  }
  return answer;
}

}  // namespace iron::proxy::dns
