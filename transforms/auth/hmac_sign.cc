#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <optional>
#include <utility>

#include "policy/hex.h"
#include "policy/match/rules.h"
#include "policy/quote.h"
#include "transforms/annotations.h"
#include "transforms/auth/secret_base64.h"
#include "transforms/encoding.h"
#include "transforms/formatter/formatter.h"
#include "transforms/inject.h"
#include "transforms/registry.h"
#include "transforms/rewrite.h"
#include "transforms/sources/secret_source.h"

namespace iron::transforms {
namespace {

using policy::BlockReader;
using policy::ConfigError;

constexpr std::string_view kName = "hmac_sign";
constexpr std::string_view kJson = "application/json";

template <class Choice>
struct Word {
  std::string_view text;
  Choice choice;
};

enum class TimeFormat { seconds, milliseconds, nanoseconds, rfc3339 };
constexpr Word<TimeFormat> kTimeFormats[] = {{"unix_seconds", TimeFormat::seconds},
                                             {"unix_millis", TimeFormat::milliseconds},
                                             {"unix_nanos", TimeFormat::nanoseconds},
                                             {"rfc3339", TimeFormat::rfc3339}};
using DigestName = const char*;  ///< OpenSSL's
constexpr Word<DigestName> kDigests[] = {
    {"sha256", "SHA256"}, {"sha512", "SHA512"}, {"sha1", "SHA1"}};
enum class Coding { raw, base64, hex };
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

/// Where standard base64 with padding goes wrong: the first byte that cannot stand there, or the
/// end of a text that is too short.
std::size_t base64_fault(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::size_t at = 0;
  while (at < text.size() && kAlphabet.find(text[at]) != std::string_view::npos) ++at;
  return at;
}

std::optional<Secret> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.find_first_of(" \t\r\n") != std::string_view::npos) {
    return std::nullopt;
  }
  return secret_from_base64(text, Base64Form::lines);
}

/// Undoes the encoding of a key. Fails with the position of what is wrong.
Result<Secret> decode_key(const Secret& key, Coding coding) {
  const std::string_view text = key.reveal();
  if (coding == Coding::raw) return Secret::copy_of(text);
  if (coding == Coding::hex) {
    Secret out = Secret::sized(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
      const bool pair = i + 1 < text.size();
      const int high = policy::hex_value(text[i]), low = pair ? policy::hex_value(text[i + 1]) : -1;
      if (high < 0 || (pair && low < 0)) {
        return fail("decoding hex key: encoding/hex: invalid byte at position " +
                    std::to_string(high < 0 ? i : i + 1));
      }
      if (!pair) return fail("decoding hex key: encoding/hex: odd length hex string");
      out.writable()[i / 2] = static_cast<char>(high << 4 | low);
    }
    return out;
  }
  if (auto out = decode_base64(text)) return std::move(*out);
  return fail("decoding base64 key: illegal base64 data at input byte " +
              std::to_string(base64_fault(text)));
}

std::string time_text(std::chrono::system_clock::time_point now, TimeFormat format) {
  const auto since = now.time_since_epoch();
  switch (format) {
    case TimeFormat::seconds:
      return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(since).count());
    case TimeFormat::milliseconds:
      return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
    case TimeFormat::nanoseconds:
      return std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
    case TimeFormat::rfc3339:
      break;
  }
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// Signs requests with an HMAC and sets fields. See docs/transforms.md, "hmac_sign".
class HmacSign : public Transform {
 public:
  explicit HmacSign(const BuildContext& context);
  std::string_view name() const override { return kName; }
  bool gives_keys() const override { return true; }
  BodyNeed body_need(Exchange& exchange) const override;
  bool judges_large_bodies() const override { return true; }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;
  void keys(std::vector<const Secret*>& out) const override;

 private:
  struct Credential {
    std::string name;
    std::unique_ptr<SecretSource> source;
  };
  struct Header {
    std::string name;
    std::unique_ptr<const Formatter> value;
  };
  struct Values;

  bool applies(const Exchange& exchange) const;
  static Verdict refuse(Exchange& exchange,
                        Trace& trace,
                        int status,
                        std::string_view reason,
                        Annotations annotations = {});
  std::optional<Verdict> judge_body(Exchange& exchange, Trace& trace) const;
  std::optional<Verdict> look(Exchange& exchange, Trace& trace, Values& values) const;
  Result<Secret> sign(const Secret& key, const Secret& message) const;
  Verdict set_fields(Exchange& exchange, Trace& trace, const TemplateData& data) const;

  TimeFormat time_format_;
  DigestName digest_;
  Coding key_coding_, output_coding_;
  std::unique_ptr<const Formatter> message_;
  std::vector<Header> headers_;
  std::vector<Credential> credentials_;  ///< in the order of their names
  std::size_t key_ = 0;                  ///< of them, the one that signs
  bool allow_chunked_body_;
  std::vector<policy::Rule> rules_;
  decltype(Services::warn) warn_;
  decltype(Services::now) now_;
};

/// The credentials as this request uses them.
struct HmacSign::Values {
  TemplateData::Texts texts;
  const Secret* key = nullptr;
};

std::unique_ptr<const Formatter> parse_template(const std::string& name,
                                                const std::string& key,
                                                const std::string& text) {
  try {
    return std::make_unique<const Formatter>(name, text, Formatter::Functions::plain);
  } catch (const ConfigError& error) {
    throw ConfigError("hmac_sign: parsing " + key + ": " + error.text());
  }
}

HmacSign::HmacSign(const BuildContext& context)
    : warn_(context.services.warn), now_(context.services.now) {
  const Raw raw = read(context);
  time_format_ = chosen("timestamp.format", raw.time_format, kTimeFormats);
  digest_ = chosen("signature.algorithm", raw.algorithm, kDigests);
  key_coding_ = chosen("signature.key_encoding", raw.key_encoding, kKeyCodings);
  output_coding_ = chosen("signature.output_encoding", raw.output_encoding, kOutputCodings);
  if (raw.message.empty()) throw ConfigError("hmac_sign: signature.message is required");
  message_ = parse_template("hmac_sign.message", "signature.message", raw.message);
  if (raw.headers.empty()) {
    throw ConfigError(R"(hmac_sign: at least one entry in "headers" is required)");
  }
  for (std::size_t i = 0; i < raw.headers.size(); ++i) {
    const std::string index = "[" + std::to_string(i) + "]";
    const std::string key = "headers" + index;
    if (raw.headers[i].name.empty()) throw ConfigError("hmac_sign: " + key + ".name is required");
    if (raw.headers[i].value.empty()) throw ConfigError("hmac_sign: " + key + ".value is required");
    headers_.push_back({raw.headers[i].name, parse_template("hmac_sign.header" + index,
                                                            key + ".value", raw.headers[i].value)});
  }
  if (raw.credentials.empty()) {
    throw ConfigError(R"(hmac_sign: "credentials" must include at least "secret")");
  }
  const auto key = std::ranges::find_if(raw.credentials,
                                        [](const auto& entry) { return entry.first == "secret"; });
  if (key == raw.credentials.end()) {
    throw ConfigError(R"(hmac_sign: "credentials" must include "secret" (the HMAC key))");
  }
  key_ = static_cast<std::size_t>(key - raw.credentials.begin());
  for (const auto& [name, node] : raw.credentials) {
    try {
      credentials_.push_back(
          {name, std::make_unique<SecretSource>(node.get(), context.path + ".credentials." + name,
                                                context)});
    } catch (const ConfigError& error) {
      throw ConfigError("hmac_sign: building credentials[" + policy::quoted(name) +
                        "] source: " + error.text());
    }
  }
  rules_ = raw.rules->build(std::string(kName));
  if (rules_.empty()) {
    throw ConfigError(R"(hmac_sign: at least one entry in "rules" is required)");
  }
  note_rules(rules_, context.path, context.risks);
  allow_chunked_body_ = raw.allow_chunked_body;
}

void HmacSign::keys(std::vector<const Secret*>& out) const {
  for (const Credential& credential : credentials_) credential.source->keys(out);
}

bool HmacSign::applies(const Exchange& exchange) const {
  const policy::Subject subject = exchange.subject();
  return std::ranges::any_of(rules_, [&](const policy::Rule& rule) {
    return rule.matches_host(subject) && rule.admits(subject);
  });
}

BodyNeed HmacSign::body_need(Exchange& exchange) const {
  const BodyView& body = exchange.body;
  if (!body.present || !applies(exchange)) return {};
  // A body that is refused for how it comes is not read.
  if (!body.declared && !allow_chunked_body_) return {};
  return {true, 0};
}

Verdict HmacSign::refuse(Exchange& exchange,
                         Trace& trace,
                         int status,
                         std::string_view reason,
                         Annotations annotations) {
  annotations.text("rejected", reason).write(trace.annotations);
  exchange.answer = PolicyAnswer{
      status, kJson, R"({"error":"hmac_sign","reason":")" + std::string(reason) + R"("})"};
  exchange.denial_reason = "hmac_sign: " + std::string(reason);
  return Verdict::reject;
}

std::optional<Verdict> HmacSign::judge_body(Exchange& exchange, Trace& trace) const {
  const BodyView& body = exchange.body;
  if (!body.present) return std::nullopt;
  if (body.failed) {
    Annotations why;
    why.text("error", "unexpected EOF");
    return refuse(exchange, trace, 400, "body_read_failed", std::move(why));
  }
  if (!body.declared && !allow_chunked_body_) {
    return refuse(exchange, trace, 400, "chunked_body_not_allowed");
  }
  if (!body.too_large) return std::nullopt;
  Annotations sizes;
  sizes.integer("content_length",
                body.declared ? static_cast<std::int64_t>(*body.declared) : std::int64_t{-1});
  sizes.integer("buffered_length", static_cast<std::int64_t>(body.limit));
  return refuse(exchange, trace, 413, "body_truncated", std::move(sizes));
}

/// All of them are asked for before any fault is told: what has to be waited for may be more than
/// one.
std::optional<Verdict> HmacSign::look(Exchange& exchange, Trace& trace, Values& values) const {
  const Credential* missing = nullptr;
  std::string error;
  for (const Credential& credential : credentials_) {
    const Supplied* found = credential.source->look(exchange);
    if (found == nullptr) return Verdict::wait;
    if (found->value == nullptr) {
      if (missing == nullptr) error = found->error;
      if (missing == nullptr) missing = &credential;
      continue;
    }
    values.texts.emplace_back(credential.name, found->value->reveal());
    if (&credential == &credentials_[key_]) values.key = found->value.get();
  }
  if (missing == nullptr) return std::nullopt;
  Annotations why;
  why.text("credential", missing->name).text("error", error);
  return refuse(exchange, trace, 502, "credential_unavailable", std::move(why));
}

Result<Secret> HmacSign::sign(const Secret& key, const Secret& message) const {
  const Result<Secret> decoded = decode_key(key, key_coding_);
  if (decoded.has_error()) return decoded.error();
  Secret digest = Secret::sized(EVP_MAX_MD_SIZE);
  std::size_t size = 0;
  const auto bytes = [](const Secret& secret) {
    return reinterpret_cast<const unsigned char*>(secret.reveal().data());
  };
  static constexpr unsigned char kNothing[1] = {};
  const unsigned char* const made = ::EVP_Q_mac(
      nullptr, "HMAC", nullptr, digest_, nullptr, decoded->empty() ? kNothing : bytes(*decoded),
      decoded->size(), message.empty() ? kNothing : bytes(message), message.size(),
      reinterpret_cast<unsigned char*>(digest.writable().data()), digest.size(), &size);
  if (made == nullptr) return fail("no memory for a signature");
  digest.shrink(size);
  if (output_coding_ == Coding::base64) {
    Secret out = Secret::sized(Base64Writer::length(size));
    Base64Writer writer(out.writable().data());
    writer.feed(digest.reveal());
    writer.finish();
    return out;
  }
  static constexpr char kHex[] = "0123456789abcdef";
  Secret out = Secret::sized(2 * size);
  for (std::size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(digest.reveal()[i]);
    out.writable()[2 * i] = kHex[byte >> 4];
    out.writable()[2 * i + 1] = kHex[byte & 15];
  }
  return out;
}

/// `path` percent-decoded, and with the query where there is one; in place of `target`.
struct SignedTarget {
  explicit SignedTarget(const Exchange& exchange) {
    const Secret target = leaving_target(exchange);
    const std::string_view text = target.reveal();
    const std::size_t mark = std::min(text.find('?'), text.size());
    query = Secret::copy_of(text.substr(std::min(mark + 1, text.size())));
    // The decoded path is the shorter one.
    path = Secret::sized(mark);
    std::size_t to = 0;
    for (std::size_t from = 0; from < mark; ++to) {
      const bool escape = text[from] == '%' && from + 2 < mark &&
                          policy::hex_value(text[from + 1]) >= 0 &&
                          policy::hex_value(text[from + 2]) >= 0;
      path.writable()[to] = escape ? static_cast<char>(policy::hex_value(text[from + 1]) << 4 |
                                                       policy::hex_value(text[from + 2]))
                                   : text[from];
      from += escape ? 3 : 1;
    }
    path.shrink(to);
    const bool has_query = !query.empty();
    path_with_query = Secret::sized(path.size() + (has_query ? 1 + query.size() : 0));
    char* out = put(path_with_query.writable().data(), path.reveal());
    if (has_query) put(put(out, "?"), query.reveal());
  }
  Secret path, query, path_with_query;
};

Verdict HmacSign::set_fields(Exchange& exchange, Trace& trace, const TemplateData& data) const {
  std::vector<Secret> values;
  for (const Header& header : headers_) {
    Result<Secret> value = header.value->run(data);
    if (value.has_error()) {
      Annotations why;
      why.text("header", header.name).text("error", value.error().text);
      return refuse(exchange, trace, 500, "header_template_failed", std::move(why));
    }
    values.push_back(std::move(*value));
  }
  std::vector<std::string> places;
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    inject_field(exchange, headers_[i].name, exchange.hold(std::move(values[i])));
    places.push_back("header:" + headers_[i].name);
  }
  Annotations().texts("injected", places).write(trace.annotations);
  return Verdict::pass;
}

Verdict HmacSign::on_request(Exchange& exchange, Trace& trace) const {
  if (!applies(exchange)) return Verdict::pass;
  if (const auto refused = judge_body(exchange, trace)) return *refused;
  Values values;
  if (const auto missing = look(exchange, trace, values)) return *missing;
  const BodyView& body = exchange.body;
  if (body.present && !body.declared && warn_) {
    warn_("hmac_sign signing chunked request body without length verification",
          std::array<Note, 3>{Note{"host", exchange.authority.host},
                              {"path", exchange.path},
                              {"buffered_length", static_cast<std::int64_t>(body.bytes.size())}});
  }
  const std::string time = time_text(now_(), time_format_);
  const SignedTarget target(exchange);
  const Secret bytes = leaving_body(body);
  const TemplateData message_data{"hmacsign.messageData",
                                  {{"Timestamp", time},
                                   {"Method", exchange.request.method},
                                   {"Path", target.path.reveal()},
                                   {"PathWithQuery", target.path_with_query.reveal()},
                                   {"Query", target.query.reveal()},
                                   {"Host", exchange.authority.host},
                                   {"Body", bytes.reveal()}}};
  const Result<Secret> message = message_->run(message_data);
  if (message.has_error()) {
    Annotations why;
    why.text("error", message.error().text);
    return refuse(exchange, trace, 500, "message_template_failed", std::move(why));
  }
  const Result<Secret> signature = sign(*values.key, *message);
  if (signature.has_error()) {
    Annotations why;
    why.text("error", signature.error().text);
    return refuse(exchange, trace, 500, "key_decode_failed", std::move(why));
  }
  TemplateData header_data{"hmacsign.headerData",
                           {{"Timestamp", time}, {"Signature", signature->reveal()}}};
  header_data.maps.emplace_back("Credentials", std::move(values.texts));
  return set_fields(exchange, trace, header_data);
}

}  // namespace

std::unique_ptr<const Transform> make_hmac_sign(const BuildContext& context) {
  return std::make_unique<HmacSign>(context);
}

}  // namespace iron::transforms
