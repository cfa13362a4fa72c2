#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "policy/match/rules.h"
#include "policy/match/url.h"
#include "policy/quote.h"
#include "transforms/annotations.h"
#include "transforms/auth/oauth_mint.h"
#include "transforms/auth/stub_answers.h"
#include "transforms/header_name.h"
#include "transforms/inject.h"
#include "transforms/registry.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;
using Node = std::shared_ptr<const policy::YamlNode>;

constexpr std::string_view kName = "oauth_token";

/// Keys of an entry that are sources, in the order of their names.
constexpr std::array<const char*, 9> kSources = {"client_id",     "client_secret", "issuer",
                                                 "password",      "private_key",   "private_key_id",
                                                 "refresh_token", "subject",       "username"};

/// What a grant must have and may have; texts of what is missing, in the order of the checks.
struct GrantKeys {
  Grant grant;
  std::vector<std::pair<std::vector<const char*>, const char*>> needed;
  std::vector<const char*> optional;
};

const std::vector<GrantKeys>& all_grants() {
  static const std::vector<GrantKeys> grants = {
      {Grant::refresh_token,
       {{{"refresh_token"}, R"(refresh_token grant requires "refresh_token")"},
        {{"client_id"}, R"(refresh_token grant requires "client_id")"}},
       {"client_secret"}},
      {Grant::client_credentials,
       {{{"client_id", "client_secret"},
         R"(client_credentials grant requires "client_id" and "client_secret")"}},
       {}},
      {Grant::password,
       {{{"username", "password"}, R"(password grant requires "username" and "password")"},
        {{"client_id"}, R"(password grant requires "client_id")"}},
       {"client_secret"}},
      {Grant::jwt_bearer,
       {{{"issuer"}, R"(jwt_bearer grant requires "issuer")"},
        {{"subject"}, R"(jwt_bearer grant requires "subject")"},
        {{"private_key"}, R"(jwt_bearer grant requires "private_key")"}},
       {"private_key_id"}}};
  return grants;
}

struct RawToken {
  std::string path, grant, endpoint, audience, header, prefix;
  std::vector<std::string> scopes;
  std::vector<std::pair<std::string, Node>> sources;
  std::vector<std::pair<std::string, Node>> headers;
  std::unique_ptr<const policy::RuleReader> rules;
  bool require = true;

  Node source(std::string_view name) const {
    const auto found =
        std::ranges::find_if(sources, [&](const auto& at) { return at.first == name; });
    return found == sources.end() ? nullptr : found->second;
  }
};

RawToken read_token(const Node& node,
                    std::string path,
                    const policy::BlockReader::Context& reading) {
  RawToken raw;
  raw.path = std::move(path);
  BlockReader block(node.get(), "oauthtoken.tokenConfig", raw.path, reading);
  block.text("grant", raw.grant);
  block.text("token_endpoint", raw.endpoint);
  for (const char* name : kSources) {
    if (Node source = block.any(name)) raw.sources.emplace_back(name, std::move(source));
  }
  block.text("audience", raw.audience);
  block.texts("scopes", raw.scopes);
  block.text("header", raw.header);
  block.text("value_prefix", raw.prefix);
  raw.headers = block.entries("token_endpoint_headers", "map[string]yaml.Node");
  block.boolean("require", raw.require);
  raw.rules = std::make_unique<const policy::RuleReader>(block, "rules", reading);
  block.finish();
  return raw;
}

const GrantKeys& grant_of(const RawToken& raw) {
  const auto& grants = all_grants();
  const auto found = std::ranges::find_if(
      grants, [&](const GrantKeys& keys) { return raw.grant == grant_name(keys.grant); });
  if (found == grants.end()) {
    throw ConfigError(
        "\"grant\" must be one of refresh_token, client_credentials, password, jwt_bearer (got " +
        policy::quoted(raw.grant) + ")");
  }
  return *found;
}

void check_needed(const RawToken& raw, const GrantKeys& keys) {
  if (raw.endpoint.empty()) throw ConfigError(raw.grant + R"( grant requires "token_endpoint")");
  if (keys.grant == Grant::jwt_bearer && raw.audience.empty()) {
    throw ConfigError(R"(jwt_bearer grant requires "audience")");
  }
  for (const auto& [names, missing] : keys.needed) {
    for (const char* name : names) {
      if (raw.source(name) == nullptr) throw ConfigError(missing);
    }
  }
}

/// Sets a field to a token that is minted for it. See docs/transforms.md, "oauth_token".
class OauthToken : public Transform {
 public:
  explicit OauthToken(const BuildContext& context);
  std::string_view name() const override { return kName; }
  bool gives_keys() const override { return true; }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;
  void keys(std::vector<const Secret*>& out) const override {
    for (const Entry& entry : entries_) entry.mint->keys(out);
  }

 private:
  struct Entry {
    std::string host, path;  ///< of the endpoint
    std::string header;      ///< canonical
    std::vector<policy::Rule> rules;
    bool require = true;
    std::string annotations;  ///< of a request that got the token
    std::unique_ptr<OauthMint> mint;
  };
  static Entry build(const RawToken& raw, const BuildContext& context);
  static OauthMint::Settings settings_of(const RawToken& raw,
                                         const GrantKeys& keys,
                                         const BuildContext& context);
  Verdict refuse(const Entry& entry, const Supplied& why, Exchange& exchange, Trace& trace) const;

  std::vector<Entry> entries_;
};

OauthMint::Settings OauthToken::settings_of(const RawToken& raw,
                                            const GrantKeys& keys,
                                            const BuildContext& context) {
  OauthMint::Settings settings;
  settings.grant = keys.grant;
  settings.endpoint = raw.endpoint;
  settings.audience = raw.audience;
  settings.scopes = raw.scopes;
  settings.prefix = raw.prefix.empty() ? "Bearer " : raw.prefix;
  const auto used = [&](const char* name) {
    const auto is_it = [&](const char* at) { return std::string_view(at) == name; };
    return std::ranges::any_of(keys.optional, is_it) ||
           std::ranges::any_of(
               keys.needed, [&](const auto& at) { return std::ranges::any_of(at.first, is_it); });
  };
  for (const char* name : kSources) {
    const Node node = raw.source(name);
    if (node == nullptr || !used(name)) continue;
    try {
      settings.credentials.emplace_back(
          name, std::make_unique<SecretSource>(node.get(), raw.path + "." + name, context));
    } catch (const ConfigError& error) {
      throw ConfigError(std::string("building ") + name + " source: " + error.text());
    }
  }
  for (const auto& [name, node] : raw.headers) {
    if (name.empty()) throw ConfigError("token_endpoint_headers: header name must not be empty");
    try {
      settings.headers.emplace_back(
          canonical_name(name),
          std::make_unique<SecretSource>(node.get(), raw.path + ".token_endpoint_headers." + name,
                                         context));
    } catch (const ConfigError& error) {
      throw ConfigError("token_endpoint_headers[" + policy::quoted(name) + "]: " + error.text());
    }
  }
  return settings;
}

OauthToken::Entry OauthToken::build(const RawToken& raw, const BuildContext& context) {
  const GrantKeys& keys = grant_of(raw);
  check_needed(raw, keys);
  Entry entry;
  OauthMint::Settings settings = settings_of(raw, keys, context);
  entry.rules = raw.rules->build("rules");
  if (entry.rules.empty()) throw ConfigError(R"(at least one entry in "rules" is required)");
  note_rules(entry.rules, raw.path, context.risks);
  const Result<policy::Url> endpoint = policy::Url::parse(raw.endpoint);
  if (endpoint.has_error()) {
    throw ConfigError("invalid token_endpoint: " + endpoint.error().text);
  }
  entry.host = endpoint->host;
  if (!policy::percent_decode(endpoint->path, entry.path)) entry.path = endpoint->path;
  entry.header = raw.header.empty() ? "Authorization" : canonical_name(raw.header);
  entry.require = raw.require;
  Annotations()
      .text("grant", raw.grant)
      .texts("injected", {"header:" + entry.header})
      .write(entry.annotations);
  entry.mint = std::make_unique<OauthMint>(std::move(settings));
  context.needs.supplies.push_back(entry.mint.get());
  return entry;
}

OauthToken::OauthToken(const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  BlockReader block(context.node.get(), "oauthtoken.config", context.path, reading);
  const auto nodes = block.blocks("tokens", "[]oauthtoken.tokenConfig");
  std::vector<RawToken> raws;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    raws.push_back(
        read_token(nodes[i], context.path + ".tokens[" + std::to_string(i) + "]", reading));
  }
  block.finish();
  check_yaml(errors, kName);
  if (raws.empty()) {
    throw ConfigError(R"(oauth_token: at least one entry in "tokens" is required)");
  }
  for (std::size_t i = 0; i < raws.size(); ++i) {
    try {
      entries_.push_back(build(raws[i], context));
    } catch (const ConfigError& error) {
      throw ConfigError("oauth_token: tokens[" + std::to_string(i) + "]: " + error.text());
    }
  }
}

Verdict OauthToken::refuse(const Entry& entry,
                           const Supplied& why,
                           Exchange& exchange,
                           Trace& trace) const {
  const std::string grant = grant_name(entry.mint->grant());
  Annotations annotations;
  annotations.text("grant", grant).text("error", why.reason);
  if (!entry.require) {
    annotations.text("skipped", "token_unavailable").write(trace.annotations);
    return Verdict::pass;
  }
  annotations.text("rejected", "token_unavailable").write(trace.annotations);
  exchange.answer = PolicyAnswer{
      502, "application/json",
      R"({"error":"oauth_token failed to mint an access token","grant":")" + grant + R"("})"};
  exchange.denial_reason = "oauth_token: no access token could be had";
  return Verdict::reject;
}

Verdict OauthToken::on_request(Exchange& exchange, Trace& trace) const {
  for (const Entry& entry : entries_) {
    if (exchange.authority.host != entry.host) continue;
    if (exchange.path != entry.path && exchange.plain_path() != entry.path) continue;
    return answer_with_stub_token(exchange, trace, "oauth2_token_endpoint");
  }
  const policy::Subject subject = exchange.subject();
  const auto entry = std::ranges::find_if(
      entries_, [&](const Entry& at) { return policy::any_admits(at.rules, subject); });
  if (entry == entries_.end()) return Verdict::pass;
  const Supplied* token = exchange.use(*entry->mint);
  if (token == nullptr) return Verdict::wait;
  if (token->value == nullptr) return refuse(*entry, *token, exchange, trace);
  inject_field(exchange, entry->header, *token->value);
  trace.annotations = entry->annotations;
  return Verdict::pass;
}

}  // namespace

std::unique_ptr<const Transform> make_oauth_token(const BuildContext& context) {
  return std::make_unique<OauthToken>(context);
}

}  // namespace iron::transforms
