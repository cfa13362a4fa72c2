#include "transforms/secrets/secret_entry.h"

#include <algorithm>

#include "policy/json/json_writer.h"
#include "policy/quote.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;
using Node = std::shared_ptr<const policy::YamlNode>;

constexpr std::size_t kShortToken = 16;

/// An entry as written; what it means is checked after all YAML types are known to be right.
struct RawEntry {
  std::string path;
  Node source;
  bool has_replace = false, has_inject = false;
  struct Replace {
    std::string proxy_value;
    std::vector<std::string> match_headers;
    bool match_body = false, match_path = false, match_query = false;
    Require require = Require::never;
  } replace, legacy;
  struct Inject {
    std::string header, query_param, formatter;
    Require require = Require::never;
  } inject;
  int legacy_body_line = 0, legacy_require_line = 0;
  std::string scrub_responses;
  bool require_tls = false;
  std::unique_ptr<const policy::RuleReader> rules;

  bool has_legacy() const { return !legacy.proxy_value.empty() || !legacy.match_headers.empty(); }
};

void read_require(BlockReader& block, Require& require) {
  bool always = false;
  const bool when_sent = block.boolean_or("require", "when_sent", always);
  require = when_sent ? Require::when_sent : always ? Require::always : Require::never;
}

void read_replace(const Node& node, const BlockReader::Context& reading, RawEntry& raw) {
  raw.has_replace = node != nullptr;
  BlockReader block(node.get(), "secrets.replaceConfig", raw.path + ".replace", reading);
  block.text("proxy_value", raw.replace.proxy_value);
  block.texts("match_headers", raw.replace.match_headers);
  block.boolean("match_body", raw.replace.match_body);
  block.boolean("match_path", raw.replace.match_path);
  block.boolean("match_query", raw.replace.match_query);
  read_require(block, raw.replace.require);
  block.finish();
}

void read_inject(const Node& node, const BlockReader::Context& reading, RawEntry& raw) {
  raw.has_inject = node != nullptr;
  BlockReader block(node.get(), "secrets.injectConfig", raw.path + ".inject", reading);
  block.text("header", raw.inject.header);
  block.text("query_param", raw.inject.query_param);
  block.text("formatter", raw.inject.formatter);
  read_require(block, raw.inject.require);
  block.finish();
}

RawEntry read_entry(const Node& node, std::string path, const BlockReader::Context& reading) {
  RawEntry raw;
  raw.path = std::move(path);
  BlockReader block(node.get(), "secrets.secretEntry", raw.path, reading);
  raw.source = block.any("source");
  read_inject(block.block("inject"), reading, raw);
  read_replace(block.block("replace"), reading, raw);
  block.text("proxy_value", raw.legacy.proxy_value);
  block.texts("match_headers", raw.legacy.match_headers);
  block.boolean("match_body", raw.legacy.match_body);
  read_require(block, raw.legacy.require);
  raw.legacy_body_line = block.line_of("match_body");
  raw.legacy_require_line = block.line_of("require");
  block.text("scrub_responses", raw.scrub_responses);
  block.boolean("require_tls", raw.require_tls);
  raw.rules = std::make_unique<const policy::RuleReader>(block, "rules", reading);
  block.finish();
  return raw;
}

/// Why the entry's form is wrong, or null.
const char* form_fault(const RawEntry& raw) {
  const bool legacy = raw.has_legacy();
  if (!legacy && !raw.has_replace && !raw.has_inject)
    return "must specify either inject or replace";
  if (legacy && raw.has_replace) {
    return "cannot use both top-level proxy_value/match_headers and replace block";
  }
  if (legacy && raw.has_inject) {
    return "cannot use both top-level proxy_value/match_headers and inject block";
  }
  if (raw.has_inject && raw.has_replace) return "cannot specify both inject and replace";
  if (raw.has_inject) {
    const bool header = !raw.inject.header.empty(), query = !raw.inject.query_param.empty();
    if (!header && !query) return "inject must specify either header or query_param";
    if (header && query) return "inject cannot specify both header and query_param";
  }
  if (raw.has_replace && raw.replace.proxy_value.empty()) return "replace.proxy_value is required";
  if (legacy && raw.legacy.proxy_value.empty()) return "proxy_value is required";
  return nullptr;
}

/// Only fields and query parameters show whether a credential was sent.
bool can_be_sent(const RawEntry& raw) {
  if (raw.has_inject) return raw.inject.require != Require::when_sent;
  const RawEntry::Replace& replace = raw.has_replace ? raw.replace : raw.legacy;
  return replace.require != Require::when_sent || (!replace.match_path && !replace.match_body);
}

ScrubResponses scrub_of(const std::string& text) {
  if (text.empty() || text == "off") return ScrubResponses::off;
  if (text == "on") return ScrubResponses::on;
  if (text == "block") return ScrubResponses::block;
  throw ConfigError(R"(scrub_responses must be "off", "on" or "block"; got )" +
                    policy::quoted(text));
}

void build_replace(const RawEntry::Replace& raw, SecretEntry& entry) {
  entry.token = raw.proxy_value;
  entry.require = raw.require;
  entry.match_body = raw.match_body;
  entry.match_path = raw.match_path;
  entry.match_query = raw.match_query;
  for (const std::string& name : raw.match_headers) entry.match_headers.add(name, "match_headers");
}

void build_inject(const RawEntry::Inject& raw, const std::string& label, SecretEntry& entry) {
  entry.header = raw.header;
  entry.query_param = raw.query_param;
  entry.require = raw.require;
  policy::append_json_string(entry.quoted_location, raw.header.empty() ? "query:" + raw.query_param
                                                                       : "header:" + raw.header);
  if (raw.formatter.empty()) return;
  try {
    entry.formatter = std::make_unique<const Formatter>(label, raw.formatter);
  } catch (const ConfigError& error) {
    throw ConfigError("parsing formatter template: " + error.text());
  }
}

/// In the order in which faults are reported.
std::unique_ptr<const SecretEntry> build_entry(const RawEntry& raw,
                                               const std::string& label,
                                               const BuildContext& context,
                                               TokenSearch& tokens) {
  if (const char* fault = form_fault(raw)) throw ConfigError(fault);
  auto entry = std::make_unique<SecretEntry>();
  if (!can_be_sent(raw)) {
    throw ConfigError(R"(require "when_sent" needs match_headers or match_query)");
  }
  entry->scrub = scrub_of(raw.scrub_responses);
  entry->require_tls = raw.require_tls;
  auto make_forms = [entry = entry.get()](SecretPtr value) {
    return std::make_shared<const SecretForms>(std::move(value), entry->formatter.get());
  };
  entry->source = std::make_unique<SecretSource>(raw.source.get(), raw.path + ".source", context,
                                                 std::move(make_forms));
  policy::append_json_string(entry->quoted_name, entry->name());
  try {
    entry->rules = raw.rules->build({});
  } catch (const ConfigError& error) {
    throw ConfigError(error.text().substr(2));  // the caller's prefix takes the place of `: `
  }
  if (raw.has_inject) {
    build_inject(raw.inject, label, *entry);
    // Of what is relayed unseen nothing is changed: such a value is there for the record alone.
    const bool for_record = !entry->header.empty() && !is_credential_field(entry->header);
    if (context.sni_only && for_record) entry->source->set_public();
  } else {
    build_replace(raw.has_replace ? raw.replace : raw.legacy, *entry);
    entry->token_id = tokens.add(entry->token);
  }
  return entry;
}

/// Keys of the older form beside a block have no effect.
void warn_ignored(const RawEntry& raw, const BuildContext& context) {
  if (raw.has_legacy()) return;
  const auto warn = [&](int line, const char* key) {
    if (line == 0) return;
    context.warnings.push_back({"transform config key ignored",
                                {{"file", context.file},
                                 {"line", std::to_string(line), true},
                                 {"key", raw.path + "." + key}}});
  };
  warn(raw.legacy_body_line, "match_body");
  warn(raw.legacy_require_line, "require");
}

void note_rules(const RawEntry& raw, const SecretEntry& entry, Risks& risks) {
  for (std::size_t i = 0; i < entry.rules.size(); ++i) {
    const std::string key = raw.path + ".rules[" + std::to_string(i) + "]";
    const policy::Rule& rule = entry.rules[i];
    if (rule.host && rule.host->kind() == policy::HostPattern::Kind::any) {
      risks.add("the pattern * gives the key to every host", key + ".host");
    }
    risks.secret_rule(rule, key);
  }
}

void note_value(const RawEntry& raw, const SecretEntry& entry, const BuildContext& context) {
  const std::string& variable = entry.source->variable();
  if (context.services.environment == nullptr || variable.empty()) return;
  const Secret* value = context.services.environment->find(variable);
  const std::string key = raw.path + ".source.var";
  if (value == nullptr) {
    context.risks.add("the variable is unset or empty", key);
  } else if (value->reveal().find_first_of(std::string_view("\r\n\0", 3)) !=
             std::string_view::npos) {
    context.risks.add("the value holds a line break or NUL, which no header field can carry", key);
  }
}

void note_risks(const RawEntry& raw, const SecretEntry& entry, const BuildContext& context) {
  Risks& risks = context.risks;
  const std::string replace = raw.path + (raw.has_replace ? ".replace" : "");
  if (!entry.require_tls && !entry.rules.empty()) {
    risks.clear_text(raw.path + ".require_tls");
  }
  if (!entry.injects()) {
    if (entry.match_headers.empty()) {
      risks.add("without match_headers the key is put into any header", replace + ".match_headers");
    }
    if (entry.match_body) {
      risks.add("a key put into a body can be stored by the host and read back",
                replace + ".match_body");
    }
    if (entry.token.size() < kShortToken) {
      risks.add("the token is shorter than 16 characters", replace + ".proxy_value");
    }
  }
  note_rules(raw, entry, risks);
  note_value(raw, entry, context);
}

void note_contained_tokens(const std::vector<RawEntry>& raws,
                           const std::vector<std::unique_ptr<const SecretEntry>>& entries,
                           Risks& risks) {
  // Quadratic in the entries, hence bounded.
  constexpr std::size_t kMost = 2000;
  if (entries.size() > kMost) return;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string& token = entries[i]->token;
    const bool contained = !token.empty() && std::ranges::any_of(entries, [&](const auto& other) {
      return other->token.size() > token.size() && other->token.find(token) != std::string::npos;
    });
    if (contained) {
      risks.add("the token is part of another token",
                raws[i].path + (raws[i].has_replace ? ".replace" : "") + ".proxy_value");
    }
  }
}

}  // namespace

std::vector<std::unique_ptr<const SecretEntry>> read_secret_entries(const BuildContext& context,
                                                                    TokenSearch& tokens) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  BlockReader block(context.node.get(), "secrets.secretsConfig", context.path, reading);
  const auto nodes = block.blocks("secrets", "[]secrets.secretEntry");
  std::vector<RawEntry> raws;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    raws.push_back(
        read_entry(nodes[i], context.path + ".secrets[" + std::to_string(i) + "]", reading));
  }
  block.finish();
  check_yaml(errors, "secrets");

  std::vector<std::unique_ptr<const SecretEntry>> entries;
  for (std::size_t i = 0; i < raws.size(); ++i) {
    const std::string label = "secrets[" + std::to_string(i) + "]";
    try {
      entries.push_back(build_entry(raws[i], label, context, tokens));
    } catch (const ConfigError& error) {
      throw ConfigError(label + ": " + error.text());
    }
    warn_ignored(raws[i], context);
    note_risks(raws[i], *entries.back(), context);
  }
  note_contained_tokens(raws, entries, context.risks);
  return entries;
}

}  // namespace iron::transforms
