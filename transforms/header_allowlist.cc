#include <algorithm>

#include "policy/http_message.h"
#include "policy/json/json_writer.h"
#include "policy/match/rules.h"
#include "transforms/header_name.h"
#include "transforms/registry.h"

namespace iron::transforms {
namespace {

using policy::ConfigError;

constexpr std::string_view kName = "header_allowlist";

/// Removes the request fields that are not listed. See docs/transforms.md, "header_allowlist".
class HeaderAllowlist : public Transform {
 public:
  explicit HeaderAllowlist(const BuildContext& context);
  std::string_view name() const override { return kName; }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;

 private:
  bool applies(const policy::Subject& subject) const;
  bool keeps(const Field& field) const;
  void report(Exchange& exchange, std::string& out) const;

  HeaderMatcher allowed_;
  std::vector<policy::Rule> rules_;
};

HeaderAllowlist::HeaderAllowlist(const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  policy::BlockReader block(context.node.get(), "headerallowlist.headerAllowlistConfig",
                            context.path, reading);
  std::vector<std::string> headers;
  block.texts("headers", headers);
  const policy::RuleReader rules(block, "rules", reading);
  block.finish();
  check_yaml(errors, kName);
  if (headers.empty()) throw ConfigError("header_allowlist: at least one header is required");
  for (const std::string& header : headers) {
    try {
      allowed_.add(header, "headers");
    } catch (const ConfigError& error) {
      throw ConfigError("header_allowlist: " + error.text());
    }
  }
  rules_ = rules.build("header_allowlist");
  note_rules(rules_, context.path, context.risks);
  if (rules_.empty()) {
    policy::Rule every;
    every.host.emplace("*");
    context.risks.rule_of_requests(every, context.path);
  }
}

bool HeaderAllowlist::applies(const policy::Subject& subject) const {
  return rules_.empty() || std::any_of(rules_.begin(), rules_.end(), [&](const auto& rule) {
           return rule.matches_host(subject) && rule.concerns(subject);
         });
}

bool HeaderAllowlist::keeps(const Field& field) const {
  return is_outside_field_set(field.name) || allowed_.find(field.name).has_value();
}

/// Names as the record knows them: canonical, or as an earlier transform spelled them; each once.
void HeaderAllowlist::report(Exchange& exchange, std::string& out) const {
  const auto& fields = exchange.request.headers.all();
  const auto spelling = [&](const Field& field) {
    return field.rewrite == 0 ? std::string_view()
                              : exchange.field_rewrites[field.rewrite - 1].spelling;
  };
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (keeps(fields[i])) continue;
    const auto end = fields.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::any_of(fields.begin(), end,
                    [&](const Field& before) { return iequals(before.name, fields[i].name); })) {
      continue;
    }
    out += out.empty() ? R"({"stripped_headers":[)" : ",";
    std::string& name = exchange.scratch.text;
    name = spelling(fields[i]);
    if (name.empty()) append_canonical_name(name, fields[i].name);
    policy::append_json_string(out, name);
  }
  if (!out.empty()) out += "]}";
}

Verdict HeaderAllowlist::on_request(Exchange& exchange, Trace& trace) const {
  if (!applies(exchange.subject())) return Verdict::pass;
  report(exchange, trace.annotations);
  if (trace.annotations.empty()) return Verdict::pass;
  bool lost_upgrade = false;
  exchange.request.headers.remove_if([&](const Field& field) {
    if (keeps(field)) return false;
    if (iequals(field.name, "Connection") || iequals(field.name, "Upgrade")) lost_upgrade = true;
    // The proxy frames the body itself; the field keeps its place.
    return !iequals(field.name, "Content-Length");
  });
  if (exchange.upgrade && lost_upgrade) {
    exchange.upgrade = false;
    exchange.request.headers.remove_if([](const Field& field) {
      return iequals(field.name, "Connection") || iequals(field.name, "Upgrade");
    });
  }
  return Verdict::pass;
}

}  // namespace

std::unique_ptr<const Transform> make_header_allowlist(const BuildContext& context) {
  return std::make_unique<HeaderAllowlist>(context);
}

}  // namespace iron::transforms
