// Host patterns match exactly what a slow reading of docs/policy.md says, alone and in the index,
// and never across a label's border.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "policy/config_error.h"
#include "policy/match/glob.h"
#include "policy/match/rules.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/reference.h"

namespace iron::fuzz {
namespace {

/// What a pattern says if it is a network; fuzz target `cidr` compares those bit by bit.
std::optional<policy::DenyList::Prefix> prefix_of(const std::string& text) {
  if (text.find('/') == text.npos) return std::nullopt;
  try {
    return policy::parse_rule_cidr(text);
  } catch (const policy::ConfigError&) {
    return std::nullopt;
  }
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(host_match) {
  using namespace iron;
  Cutter cutter(input.substr(0, 300));
  std::vector<std::string> patterns;
  const std::size_t count = 1 + cutter.up_to(3);
  for (std::size_t i = 0; i < count; ++i) patterns.emplace_back(cutter.text());
  const std::string host = reference::folded(cutter.rest());

  const auto literal = policy::IpAddress::parse(host);
  policy::HostIndex index;
  std::vector<std::uint32_t> expected;
  for (std::uint32_t id = 0; id < patterns.size(); ++id) {
    if (const auto prefix = prefix_of(patterns[id])) {
      if (literal && prefix->contains(*literal)) expected.push_back(id);
      index.add(*prefix, id);
      continue;
    }
    const policy::HostPattern pattern(patterns[id]);
    const bool matches = reference::host_matches(patterns[id], host);
    FUZZ_CHECK(pattern.matches(host) == matches);
    FUZZ_CHECK(policy::glob_match(patterns[id], host) ==
               reference::glob_matches(patterns[id], host));
    FUZZ_CHECK(policy::glob_well_formed(patterns[id]) ==
               reference::parse_glob(patterns[id]).has_value());
    if (matches) {
      const auto parsed = policy::Authority::parse(host);
      FUZZ_CHECK(!pattern.useless() || !parsed || parsed->host != host);
      expected.push_back(id);
    }
    index.add(pattern, id);
    if (matches && pattern.kind() == policy::HostPattern::Kind::suffix && host != pattern.text()) {
      FUZZ_CHECK(host.ends_with("." + pattern.text()));
    }
  }
  index.build();
  std::vector<std::uint32_t> found;
  index.find(host, literal, found);
  FUZZ_CHECK(found == expected);
}
