#include <algorithm>

#include "policy/http_message.h"
#include "policy/json/json_writer.h"
#include "policy/match/rules.h"
#include "transforms/header_name.h"
#include "transforms/registry.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;

constexpr std::string_view kName = "annotate";

/// Copies field values of the client to the record. See docs/transforms.md, "annotate".
class Annotate : public Transform {
 public:
  explicit Annotate(const BuildContext& context);
  std::string_view name() const override { return kName; }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;

 private:
  struct Note {
    std::string name;                   ///< canonical
    std::string quoted_key;             ///< JSON string `header:NAME`
    std::vector<std::uint32_t> groups;  ///< any of them must match
  };
  void add(const std::string& name, std::uint32_t group);

  std::vector<std::vector<policy::Rule>> groups_;
  std::vector<Note> notes_;  ///< in byte order of the names
};

struct RawGroup {
  std::vector<std::string> headers;
  std::unique_ptr<const policy::RuleReader> rules;
  bool has_rules = false;
};

/// A second look at the block, whose faults are reported by the first.
bool holds_rules(const policy::YamlNode& node) {
  policy::YamlErrors ignored;
  BlockReader group(&node, {}, {}, {&ignored, policy::UnknownKeys::are_warnings, nullptr, {}});
  return !group.blocks("rules", {}).empty();
}

std::vector<RawGroup> read_groups(const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  BlockReader block(context.node.get(), "annotate.annotateConfig", context.path, reading);
  const auto nodes = block.blocks("annotations", "[]annotate.annotationGroup");
  std::vector<RawGroup> groups;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string path = context.path + ".annotations[" + std::to_string(i) + "]";
    BlockReader group(nodes[i].get(), "annotate.annotationGroup", path, reading);
    RawGroup& raw = groups.emplace_back();
    raw.rules = std::make_unique<const policy::RuleReader>(group, "rules", reading);
    group.texts("headers", raw.headers);
    group.finish();
    raw.has_rules = holds_rules(*nodes[i]);
  }
  block.finish();
  check_yaml(errors, kName);
  return groups;
}

Annotate::Annotate(const BuildContext& context) {
  const std::vector<RawGroup> groups = read_groups(context);
  if (groups.empty()) throw ConfigError("annotate: at least one annotation group is required");
  for (std::uint32_t i = 0; i < groups.size(); ++i) {
    const std::string where = "annotations[" + std::to_string(i) + "]";
    if (!groups[i].has_rules) {
      throw ConfigError("annotate: " + where + ": at least one rule is required");
    }
    if (groups[i].headers.empty()) {
      throw ConfigError("annotate: " + where + ": at least one header is required");
    }
    groups_.push_back(groups[i].rules->build("annotate " + where));
    note_rules(groups_.back(), context.path + "." + where, context.risks);
    for (const std::string& name : groups[i].headers) {
      if (!is_outside_field_set(name)) add(canonical_name(name), i);
    }
  }
  std::sort(notes_.begin(), notes_.end(),
            [](const Note& a, const Note& b) { return a.name < b.name; });
}

void Annotate::add(const std::string& name, std::uint32_t group) {
  auto found = std::find_if(notes_.begin(), notes_.end(),
                            [&](const Note& note) { return note.name == name; });
  if (found == notes_.end()) {
    found = notes_.insert(found, Note{name, {}, {}});
    policy::append_json_string(found->quoted_key, "header:" + name);
  }
  found->groups.push_back(group);
}

bool any_rule(const std::vector<policy::Rule>& rules, const policy::Subject& subject) {
  return std::any_of(rules.begin(), rules.end(), [&](const policy::Rule& rule) {
    return rule.matches_host(subject) && rule.concerns(subject);
  });
}

/// Field::value is what the client sent; of a field that an earlier transform added it is empty. Of
/// what is relayed unseen a value that was put in goes nowhere but into the record, which is what
/// it is there for, unless the field's name says that it is a credential.
std::string_view shown_value(const Exchange& exchange, const Field& field) {
  if (!field.value.empty() || exchange.mode != Mode::sni_only || field.rewrite == 0) {
    return field.value;
  }
  if (is_credential_field(field.name)) return {};
  const FieldRewrite& rewrite = exchange.field_rewrites[field.rewrite - 1];
  if (rewrite.kind != FieldRewrite::Kind::whole || rewrite.parts.empty()) return {};
  return rewrite.parts.front().value->reveal();
}

Verdict Annotate::on_request(Exchange& exchange, Trace& trace) const {
  const policy::Subject subject = exchange.subject();
  std::vector<std::uint32_t>& matched = exchange.scratch.rules;
  matched.clear();
  for (const auto& group : groups_) matched.push_back(any_rule(group, subject) ? 1 : 0);
  std::string& out = trace.annotations;
  for (const Note& note : notes_) {
    const bool wanted = std::any_of(note.groups.begin(), note.groups.end(),
                                    [&](std::uint32_t group) { return matched[group] != 0; });
    if (!wanted) continue;
    const Field* field = exchange.request.headers.find(note.name);
    if (field == nullptr) continue;
    const std::string_view value = shown_value(exchange, *field);
    if (value.empty()) continue;
    out += out.empty() ? '{' : ',';
    out += note.quoted_key;
    out += ':';
    policy::append_json_string(out, value);
  }
  if (!out.empty()) out += '}';
  return Verdict::pass;
}

}  // namespace

std::unique_ptr<const Transform> make_annotate(const BuildContext& context) {
  return std::make_unique<Annotate>(context);
}

}  // namespace iron::transforms
