#include "transforms/risks.h"

#include <algorithm>

namespace iron::transforms {
namespace {

using policy::HostPattern;

bool ends_with_label(std::string_view host, std::string_view suffix) {
  return host == suffix || (host.size() > suffix.size() && host.ends_with(suffix) &&
                            host[host.size() - suffix.size() - 1] == '.');
}

/// Everything that `inner` matches is certainly matched by `outer`.
bool covers(const HostPattern& outer, const HostPattern& inner) {
  if (outer.kind() == HostPattern::Kind::any) return true;
  if (inner.kind() == HostPattern::Kind::exact) return outer.matches(inner.text());
  if (outer.kind() == inner.kind() && outer.text() == inner.text()) return true;
  if (outer.kind() != HostPattern::Kind::suffix) return false;
  if (inner.kind() == HostPattern::Kind::suffix) return ends_with_label(inner.text(), outer.text());
  // The tail of a glob behind its last special character is literal.
  const std::string& glob = inner.text();
  const std::size_t special = glob.find_last_of("*?[]\\");
  return inner.kind() == HostPattern::Kind::glob && special != std::string::npos &&
         ends_with_label(std::string_view(glob).substr(special + 1), outer.text());
}

}  // namespace

void Risks::add(std::string_view reason, std::string_view key) {
  const auto found = std::find_if(reasons_.begin(), reasons_.end(),
                                  [&](const auto& entry) { return entry.first == reason; });
  if (found == reasons_.end()) {
    reasons_.emplace_back(reason, key);
  } else {
    found->second.append(", ").append(key);
  }
}

void Risks::allowlist(const std::vector<policy::Rule>& rules) {
  has_allowlist_ = true;
  allowed_.insert(allowed_.end(), rules.begin(), rules.end());
}

void Risks::secret_rule(const policy::Rule& rule, const std::string& key) {
  secret_rules_.emplace_back(rule, key);
  rule_of_requests(rule, key);
}

void Risks::rule_of_requests(const policy::Rule& rule, const std::string& key) {
  if (!pass_through_.touches(rule)) return;
  add("the rule names hosts that proxy.passthrough relays unseen, where it has no effect", key);
}

bool Risks::covered(const policy::Rule& rule) const {
  return std::any_of(allowed_.begin(), allowed_.end(), [&](const policy::Rule& allowed) {
    if (allowed.host && allowed.host->kind() == HostPattern::Kind::any) return true;
    if (allowed.host) return rule.host && covers(*allowed.host, *rule.host);
    if (rule.cidr) {
      return rule.cidr->bits >= allowed.cidr->bits && allowed.cidr->contains(rule.cidr->network);
    }
    const auto literal = policy::IpAddress::parse(rule.host->text());
    return literal && allowed.cidr->contains(*literal);
  });
}

void Risks::clear_text(const std::string& key) {
  if (clear_texts_++ == 0) first_clear_text_ = key;
}

void Risks::report(std::vector<policy::ConfigWarning>& warnings) {
  if (has_allowlist_) {
    for (const auto& [rule, key] : secret_rules_) {
      if (!covered(rule)) add("the rule names hosts that the allowlist does not admit", key);
    }
  }
  for (const auto& [reason, keys] : reasons_) {
    warnings.push_back({"risky setting", {{"key", keys}, {"reason", reason}}});
  }
  if (clear_texts_ == 0) return;
  warnings.push_back({"risky setting",
                      {{"key", first_clear_text_},
                       {"reason", "the key may travel in clear text; require_tls prevents it"},
                       {"entries", std::to_string(clear_texts_), true}},
                      true});
}

}  // namespace iron::transforms
