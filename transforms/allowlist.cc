#include "policy/match/rules.h"
#include "transforms/registry.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kName = "allowlist";

/// Lets a request pass only if a host, an address or a rule admits it. See docs/transforms.md,
/// "allowlist".
class Allowlist : public Transform {
 public:
  explicit Allowlist(const BuildContext& context);
  std::string_view name() const override { return kName; }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;

 private:
  void add(policy::Rule rule);

  std::vector<policy::Rule> rules_;
  policy::HostIndex index_;
  policy::HostIndex quiet_;  ///< hosts whose refusal is no news
  bool warn_ = false;
};

void warn_useless(const BuildContext& context,
                  const std::string& key,
                  const std::vector<std::string>& hosts,
                  const std::vector<int>& lines) {
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (!policy::HostPattern(hosts[i]).useless()) continue;
    context.warnings.push_back(policy::never_matches(
        context.file, lines[i], context.path + key + "[" + std::to_string(i) + "]", hosts[i]));
  }
}

Allowlist::Allowlist(const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  std::vector<std::string> domains, cidrs, quiet;
  std::vector<int> lines, quiet_lines;
  policy::BlockReader block(context.node.get(), "allowlist.allowlistConfig", context.path, reading);
  block.texts("domains", domains, &lines);
  block.texts("cidrs", cidrs);
  const policy::RuleReader rules(block, "rules", reading);
  block.boolean("warn", warn_);
  block.texts("quiet", quiet, &quiet_lines);
  block.finish();
  check_yaml(errors, kName);

  for (const std::string& domain : domains) {
    policy::Rule rule;
    rule.host.emplace(domain);
    add(std::move(rule));
  }
  for (const std::string& cidr : cidrs) {
    policy::Rule rule;
    rule.cidr = policy::parse_rule_cidr(cidr);
    add(std::move(rule));
  }
  std::vector<policy::Rule> built = rules.build("allowlist");
  policy::Subject unseen;
  unseen.method = "CONNECT";
  for (std::size_t i = 0; i < built.size(); ++i) {
    // The others admit a connection whether its requests are seen or not.
    if (!built[i].admits(unseen)) {
      context.risks.rule_of_requests(built[i], context.path + ".rules[" + std::to_string(i) + "]");
    }
    add(std::move(built[i]));
  }
  index_.build();
  for (std::uint32_t id = 0; id < quiet.size(); ++id)
    quiet_.add(policy::HostPattern(quiet[id]), id);
  quiet_.build();
  warn_useless(context, ".domains", domains, lines);
  warn_useless(context, ".quiet", quiet, quiet_lines);
  context.risks.allowlist(rules_);
  if (warn_) {
    context.risks.add("warn lets every request pass, matched or not", context.path + ".warn");
  }
}

void Allowlist::add(policy::Rule rule) {
  const auto id = static_cast<std::uint32_t>(rules_.size());
  if (rule.host) {
    index_.add(*rule.host, id);
  } else {
    index_.add(*rule.cidr, id);
  }
  rules_.push_back(std::move(rule));
}

Verdict Allowlist::on_request(Exchange& exchange, Trace& trace) const {
  const policy::Subject subject = exchange.subject();
  std::vector<std::uint32_t>& ids = exchange.scratch.rules;
  ids.clear();
  index_.find(subject.host, subject.literal, ids);
  for (const std::uint32_t id : ids) {
    // Each request inside an intercepted tunnel is judged by the whole rule, so the tunnel needs
    // the host alone.
    if (subject.tunnel_check || rules_[id].admits(subject)) return Verdict::pass;
  }
  if (warn_) {
    trace.annotations = R"({"action":"warn"})";
    return Verdict::pass;
  }
  exchange.denial_reason =
      ids.empty() ? "allowlist: host is not allowed" : "allowlist: method or path is not allowed";
  ids.clear();
  quiet_.find(subject.host, subject.literal, ids);
  exchange.quiet_refusal = !ids.empty();
  return Verdict::reject;
}

}  // namespace

std::unique_ptr<const Transform> make_allowlist(const BuildContext& context) {
  return std::make_unique<Allowlist>(context);
}

}  // namespace iron::transforms
