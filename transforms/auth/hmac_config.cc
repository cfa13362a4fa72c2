#include "transforms/auth/hmac_config.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "policy/quote.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;

constexpr std::string_view kName = "hmac_sign";

template <class Choice>
struct Word {
  std::string_view text;
  Choice choice;
};

using TimeFormat = HmacConfig::TimeFormat;
constexpr Word<TimeFormat> kTimeFormats[] = {{"unix_seconds", TimeFormat::seconds},
                                             {"unix_millis", TimeFormat::milliseconds},
                                             {"unix_nanos", TimeFormat::nanoseconds},
                                             {"rfc3339", TimeFormat::rfc3339}};
using DigestName = HmacConfig::DigestName;
constexpr Word<DigestName> kDigests[] = {
    {"sha256", "SHA256"}, {"sha512", "SHA512"}, {"sha1", "SHA1"}};
using Coding = HmacConfig::Coding;
constexpr Word<Coding> kKeyCodings[] = {
    {"raw", Coding::raw}, {"base64", Coding::base64}, {"hex", Coding::hex}};
constexpr Word<Coding> kOutputCodings[] = {{"base64", Coding::base64}, {"hex", Coding::hex}};

/// The choice that `text` names; the first one where it is empty.
template <class Choice, std::size_t N>
Choice chosen(const char* key, const std::string& text, const Word<Choice> (&words)[N]) {
  if (text.empty()) return words[0].choice;
  std::string wanted;
  for (const Word<Choice>& word : words) {
    if (word.text == text) return word.choice;
    wanted.append(wanted.empty() ? "" : "|").append(word.text);
  }
  throw ConfigError("hmac_sign: unknown " + std::string(key) + " " + policy::quoted(text) +
                    " (want " + wanted + ")");
}

struct Raw {
  struct Header {
    std::string name, value;
  };
  std::string time_format, algorithm, key_encoding, output_encoding, message;
  std::vector<Header> headers;
  std::vector<std::pair<std::string, std::shared_ptr<const policy::YamlNode>>> credentials;
  bool allow_chunked_body = false;
  std::unique_ptr<const policy::RuleReader> rules;
};

Raw read(const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  Raw raw;
  BlockReader block(context.node.get(), "hmacsign.config", context.path, reading);
  BlockReader time(block.block("timestamp").get(), "hmacsign.timestampConfig",
                   context.path + ".timestamp", reading);
  time.text("format", raw.time_format);
  time.finish();
  BlockReader signature(block.block("signature").get(), "hmacsign.signatureConfig",
                        context.path + ".signature", reading);
  signature.text("algorithm", raw.algorithm);
  signature.text("key_encoding", raw.key_encoding);
  signature.text("output_encoding", raw.output_encoding);
  signature.text("message", raw.message);
  signature.finish();
  raw.credentials = block.entries("credentials", "map[string]yaml.Node");
  const auto headers = block.blocks("headers", "[]hmacsign.headerConfig");
  for (std::size_t i = 0; i < headers.size(); ++i) {
    BlockReader header(headers[i].get(), "hmacsign.headerConfig",
                       context.path + ".headers[" + std::to_string(i) + "]", reading);
    Raw::Header& at = raw.headers.emplace_back();
    header.text("name", at.name);
    header.text("value", at.value);
    header.finish();
  }
  block.boolean("allow_chunked_body", raw.allow_chunked_body);
  raw.rules = std::make_unique<const policy::RuleReader>(block, "rules", reading);
  block.finish();
  check_yaml(errors, kName);
  return raw;
}

std::unique_ptr<const Formatter> parse_template(const std::string& name,
                                                const std::string& key,
                                                const std::string& text) {
  try {
    return std::make_unique<const Formatter>(name, text, Formatter::Functions::plain);
  } catch (const ConfigError& error) {
    throw ConfigError("hmac_sign: parsing " + key + ": " + error.text());
  }
}

}  // namespace

HmacConfig::HmacConfig(const BuildContext& context) {
  const Raw raw = read(context);
  time_format = chosen("timestamp.format", raw.time_format, kTimeFormats);
  digest = chosen("signature.algorithm", raw.algorithm, kDigests);
  key_coding = chosen("signature.key_encoding", raw.key_encoding, kKeyCodings);
  output_coding = chosen("signature.output_encoding", raw.output_encoding, kOutputCodings);
  if (raw.message.empty()) throw ConfigError("hmac_sign: signature.message is required");
  message = parse_template("hmac_sign.message", "signature.message", raw.message);
  if (raw.headers.empty()) {
    throw ConfigError(R"(hmac_sign: at least one entry in "headers" is required)");
  }
  for (std::size_t i = 0; i < raw.headers.size(); ++i) {
    const std::string index = "[" + std::to_string(i) + "]";
    const std::string at = "headers" + index;
    if (raw.headers[i].name.empty()) throw ConfigError("hmac_sign: " + at + ".name is required");
    if (raw.headers[i].value.empty()) throw ConfigError("hmac_sign: " + at + ".value is required");
    headers.push_back({raw.headers[i].name, parse_template("hmac_sign.header" + index,
                                                           at + ".value", raw.headers[i].value)});
  }
  if (raw.credentials.empty()) {
    throw ConfigError(R"(hmac_sign: "credentials" must include at least "secret")");
  }
  const auto signing = std::ranges::find_if(
      raw.credentials, [](const auto& entry) { return entry.first == "secret"; });
  if (signing == raw.credentials.end()) {
    throw ConfigError(R"(hmac_sign: "credentials" must include "secret" (the HMAC key))");
  }
  key = static_cast<std::size_t>(signing - raw.credentials.begin());
  for (const auto& [name, node] : raw.credentials) {
    try {
      credentials.push_back(
          {name, std::make_unique<SecretSource>(node.get(), context.path + ".credentials." + name,
                                                context)});
    } catch (const ConfigError& error) {
      throw ConfigError("hmac_sign: building credentials[" + policy::quoted(name) +
                        "] source: " + error.text());
    }
  }
  rules = raw.rules->build(std::string(kName));
  if (rules.empty()) {
    throw ConfigError(R"(hmac_sign: at least one entry in "rules" is required)");
  }
  note_rules(rules, context.path, context.risks);
  allow_chunked_body = raw.allow_chunked_body;
}

}  // namespace iron::transforms
