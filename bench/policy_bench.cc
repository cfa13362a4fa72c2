#include "bench/case.h"
#include "bench/keep.h"
#include "policy/json/json_writer.h"
#include "policy/match/deny_list.h"
#include "policy/match/host.h"
#include "policy/match/path.h"
#include "policy/match/rules.h"

namespace iron::bench {
namespace {

std::function<void()> host_parse() {
  return [] { keep(policy::Authority::parse("Api.Bench.test:443")->host.size()); };
}

std::function<void()> pattern_match() {
  return
      [pattern = policy::HostPattern("*.bench.test")] { keep(pattern.matches("api.bench.test")); };
}

/// Looks up the last of `count` entries, a tenth of them wildcards.
std::function<void()> host_index(int count) {
  auto index = std::make_shared<policy::HostIndex>();
  for (int i = 0; i < count - 1; ++i) {
    const std::string number = std::to_string(i);
    index->add(policy::HostPattern(i % 10 == 9 ? "*.g" + number + ".filler.test"
                                               : "f" + number + ".filler.test"),
               static_cast<std::uint32_t>(i));
  }
  index->add(policy::HostPattern("*.bench.test"), static_cast<std::uint32_t>(count));
  index->build();
  return [index, ids = std::vector<std::uint32_t>()]() mutable {
    ids.clear();
    index->find("api.bench.test", std::nullopt, ids);
    keep(ids.size());
  };
}

/// The prefixes of the default configuration against an address that none of them holds.
std::function<void()> deny_list() {
  auto list = std::make_shared<policy::DenyList>(
      std::vector<std::string>{"127.0.0.0/8", "::1/128", "169.254.169.254/32", "10.0.0.0/8",
                               "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "fe80::/10"});
  const auto address = *policy::IpAddress::parse("93.184.216.34");
  return [list, address] { keep(list->check(address).has_value()); };
}

std::function<void()> path_decode() {
  return [out = std::string()]() mutable {
    keep(policy::percent_decode("/v1/projects/a%20b/files/report%2Dfinal.json", out));
    keep(policy::has_dot_segments(out));
  };
}

std::function<void()> json_string(std::string text) {
  return [text = std::move(text), out = std::string()]() mutable {
    out.clear();
    policy::append_json_string(out, text);
    keep(out.data());
  };
}

}  // namespace

std::vector<Case> policy_cases() {
  return {
      {"policy/host_parse", host_parse, 2000},
      {"policy/pattern_match", pattern_match, 2000},
      {"policy/allowlist/10", [] { return host_index(10); }, 2000},
      {"policy/allowlist/10000", [] { return host_index(10000); }, 2000},
      {"policy/match/deny_list", deny_list, 2000},
      {"policy/path_decode", path_decode, 2000},
      {"policy/json_string/plain", [] { return json_string("/v1/chat/completions"); }, 2000},
      {"policy/json_string/escaped",
       [] { return json_string("/a\"b\\c\n\xe2\x80\xa8\xff/long-enough"); }, 2000},
  };
}

}  // namespace iron::bench
