#include "proxy/net/target_check.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>

#include "proxy/dns/resolv_conf.h"
#include "proxy/wait/event_loop.h"
#include "proxy/wait/later.h"

namespace iron::proxy {
namespace {

constexpr auto kLookupTime = std::chrono::seconds(2);
constexpr auto kFailureKept = std::chrono::seconds(30);
constexpr std::size_t kFailuresKept = 1024;

/// Names that mean a machine's own metadata service wherever they are resolved: the parent may
/// stand in a cloud that this program does not stand in.
bool names_metadata(std::string_view host) {
  static constexpr std::array<std::string_view, 6> kNames = {
      "metadata",      "metadata.google.internal",   "metadata.goog",
      "instance-data", "instance-data.ec2.internal", "metadata.azure.internal"};
  return std::ranges::find(kNames, host) != kNames.end();
}

/// Names of the machine itself (RFC 6761 section 6.3), which many resolvers answer by themselves.
bool names_loopback(std::string_view host) {
  static constexpr std::array<std::string_view, 4> kNames = {"localhost", "localhost.localdomain",
                                                             "ip6-localhost", "ip6-loopback"};
  return std::ranges::find(kNames, host) != kNames.end() || host.ends_with(".localhost");
}

/// What is no name in the name system, and may be an address to whoever reads it with the C
/// library: `2852039166`, `0xa9fea9fe`, `127.1`, `169.254.0x9.1`.
bool may_be_an_address(std::string_view host) {
  const std::string_view last = host.substr(host.rfind('.') + 1);
  const bool digits = std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; });
  return digits || last.starts_with("0x") || !dns::is_domain_name(host);
}

Error client_gone() { return fail("client gone", Fault::client_gone); }

}  // namespace

std::optional<Error> TargetCheck::refusal(const DialRequest& request,
                                          const policy::IpAddress& address) const {
  const std::uint16_t port = request.target.port;
  const std::string prefix = "dial tcp " + address.text_with_port(port) + ": ";
  if (const auto hit = request.deny_list.check(address)) return fail(prefix + denial_text(*hit));
  if (own_addresses_.contains(address, port)) return fail(prefix + "own listener");
  return std::nullopt;
}

std::optional<Error> TargetCheck::refusal_by_name(const DialRequest& request) const {
  const std::string& host = request.target.host;
  if (may_be_an_address(host)) return fail("dial tcp: lookup " + host + ": no such host");
  if (names_loopback(host)) {
    const auto found = refusal(request, policy::IpAddress::v4({127, 0, 0, 1}));
    return found ? found : refusal(request, *policy::IpAddress::parse("::1"));
  }
  if (!names_metadata(host)) return std::nullopt;
  for (const std::uint8_t third : {std::uint8_t{169}, std::uint8_t{170}}) {
    const std::uint8_t last = third == 169 ? 254 : 2;
    const auto found = refusal(request, policy::IpAddress::v4({169, 254, third, last}));
    if (found) return found;
  }
  return std::nullopt;
}

bool TargetCheck::failed_lately(const std::string& name, SteadyTime now) {
  const auto found = failed_.find(name);
  return found != failed_.end() && now < found->second;
}

void TargetCheck::note_failure(const std::string& name, SteadyTime now) {
  // A sandbox may invent names: what is dropped is only looked up again.
  if (failed_.size() >= kFailuresKept) {
    std::erase_if(failed_, [now](const auto& entry) { return entry.second <= now; });
    if (failed_.size() >= kFailuresKept) failed_.clear();
  }
  failed_[name] = now + kFailureKept;
}

Task<Result<ParentHop>> TargetCheck::admit(Pause& pause,
                                           const DialRequest& request,
                                           const policy::ProxyUrl& parent) {
  ParentHop hop;
  hop.url = &parent;
  if (!parent.usable()) co_return fail(std::string(kUnsupportedParent));
  const UpstreamTarget& target = request.target;
  const auto refused =
      target.literal ? refusal(request, *target.literal) : refusal_by_name(request);
  if (refused) co_return *refused;
  if (target.literal) co_return hop;
  hop.name_only = failed_lately(target.host, pause.loop().now());
  if (hop.name_only) co_return hop;
  Result<ParentHop> admitted = co_await admit_name(pause, request, hop);
  co_return std::move(admitted);
}

Task<Result<ParentHop>> TargetCheck::admit_name(Pause& pause,
                                                const DialRequest& request,
                                                ParentHop hop) {
  // Whoever has not been asked before is not watched.
  if (request.abandonment.abandoned()) co_return client_gone();
  const std::string& name = request.target.host;
  Later<LookupOutcome> found(pause);
  lookups_.lookup(name, found.teller());
  pause.set_timeout(kLookupTime);
  const auto gone = [&] { return request.abandonment.abandoned() || pause.loop().cut(); };
  const auto given_up = [&] { return pause.expired() || gone(); };
  bool complete = false;
  while (!complete) {
    const std::optional<LookupOutcome> outcome = co_await await(found, pause, given_up);
    if (!outcome && gone()) co_return client_gone();
    if (!outcome || outcome->status != LookupOutcome::Status::found) break;
    for (const policy::IpAddress& address : outcome->addresses) {
      const auto refused = refusal(request, address);
      if (!refused) continue;
      pause.clear_deadline();
      co_return *refused;
    }
    if (!hop.checked) hop.checked = outcome->addresses.front();
    complete = outcome->complete;
  }
  pause.clear_deadline();
  if (complete) co_return hop;
  // Of addresses of which some are not known, those that are were checked: one of them will do
  // where the parent gets an address.
  const bool sends_address = hop.url->kind() == policy::ProxyUrl::Kind::socks5;
  hop.name_only = !sends_address || !hop.checked;
  if (!hop.checked) note_failure(name, pause.loop().now());
  co_return hop;
}

}  // namespace iron::proxy
