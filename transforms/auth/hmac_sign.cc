#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <optional>
#include <utility>

#include "policy/hex.h"
#include "policy/match/rules.h"
#include "transforms/annotations.h"
#include "transforms/auth/hmac_config.h"
#include "transforms/auth/secret_base64.h"
#include "transforms/auth/signing.h"
#include "transforms/encoding.h"
#include "transforms/inject.h"
#include "transforms/registry.h"
#include "transforms/rewrite.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kName = "hmac_sign";

using TimeFormat = HmacConfig::TimeFormat;
using Coding = HmacConfig::Coding;

/// Where standard base64 with padding goes wrong: the first byte that cannot stand there, or the
/// end of a text that is too short.
std::size_t base64_fault(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::size_t at = 0;
  while (at < text.size() && kAlphabet.find(text[at]) != std::string_view::npos) ++at;
  return at;
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
  if (auto out = secret_from_base64(text, Base64Form::standard)) return std::move(*out);
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
  explicit HmacSign(const BuildContext& context)
      : config_(context), warn_(context.services.warn), now_(context.services.now) {}
  std::string_view name() const override { return kName; }
  bool gives_keys() const override { return true; }
  BodyNeed body_need(Exchange& exchange) const override;
  bool judges_large_bodies() const override { return true; }
  Verdict on_request(Exchange& exchange, Trace& trace) const override;
  void keys(std::vector<const Secret*>& out) const override;

 private:
  struct Values;

  bool applies(const Exchange& exchange) const;
  std::optional<Verdict> look(Exchange& exchange, Trace& trace, Values& values) const;
  Result<Secret> sign(const Secret& key, const Secret& message) const;
  Verdict set_fields(Exchange& exchange, Trace& trace, const TemplateData& data) const;

  const HmacConfig config_;
  decltype(Services::warn) warn_;
  decltype(Services::now) now_;
};

Verdict refuse(Exchange& exchange,
               Trace& trace,
               int status,
               std::string_view reason,
               Annotations annotations) {
  return refuse_signing(kName, exchange, trace, status, reason, std::move(annotations));
}

/// The credentials as this request uses them.
struct HmacSign::Values {
  TemplateData::Texts texts;
  const Secret* key = nullptr;
};

void HmacSign::keys(std::vector<const Secret*>& out) const {
  for (const HmacConfig::Credential& credential : config_.credentials) credential.source->keys(out);
}

bool HmacSign::applies(const Exchange& exchange) const {
  return policy::any_admits(config_.rules, exchange.subject());
}

BodyNeed HmacSign::body_need(Exchange& exchange) const {
  const BodyView& body = exchange.body;
  if (!body.present || !applies(exchange)) return {};
  // A body that is refused for how it comes is not read.
  if (!body.declared && !config_.allow_chunked_body) return {};
  return {true, 0};
}

/// All of them are asked for before any fault is told: what has to be waited for may be more than
/// one.
std::optional<Verdict> HmacSign::look(Exchange& exchange, Trace& trace, Values& values) const {
  const HmacConfig::Credential* missing = nullptr;
  std::string error;
  for (const HmacConfig::Credential& credential : config_.credentials) {
    const Supplied* found = credential.source->look(exchange);
    if (found == nullptr) return Verdict::wait;
    if (found->value == nullptr) {
      if (missing == nullptr) error = found->error;
      if (missing == nullptr) missing = &credential;
      continue;
    }
    values.texts.emplace_back(credential.name, found->value->reveal());
    if (&credential == &config_.credentials[config_.key]) values.key = found->value.get();
  }
  if (missing == nullptr) return std::nullopt;
  Annotations why;
  why.text("credential", missing->name).text("error", error);
  return refuse(exchange, trace, 502, "credential_unavailable", std::move(why));
}

Result<Secret> HmacSign::sign(const Secret& key, const Secret& message) const {
  const Result<Secret> decoded = decode_key(key, config_.key_coding);
  if (decoded.has_error()) return decoded.error();
  Secret digest = Secret::sized(EVP_MAX_MD_SIZE);
  std::size_t size = 0;
  const auto bytes = [](const Secret& secret) {
    return reinterpret_cast<const unsigned char*>(secret.reveal().data());
  };
  static constexpr unsigned char kNothing[1] = {};
  const unsigned char* const made =
      ::EVP_Q_mac(nullptr, "HMAC", nullptr, config_.digest, nullptr,
                  decoded->empty() ? kNothing : bytes(*decoded), decoded->size(),
                  message.empty() ? kNothing : bytes(message), message.size(),
                  reinterpret_cast<unsigned char*>(digest.writable().data()), digest.size(), &size);
  if (made == nullptr) return fail("no memory for a signature");
  digest.shrink(size);
  if (config_.output_coding == Coding::base64) {
    Secret out = Secret::sized(Base64Writer::length(size));
    Base64Writer writer(out.writable().data());
    writer.feed(digest.reveal());
    writer.finish();
    return out;
  }
  Secret out = Secret::sized(2 * size);
  put_hex(out.writable().data(), digest.reveal());
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
  for (const HmacConfig::Header& header : config_.headers) {
    Result<Secret> value = header.value->run(data);
    if (value.has_error()) {
      Annotations why;
      why.text("header", header.name).text("error", value.error().text);
      return refuse(exchange, trace, 500, "header_template_failed", std::move(why));
    }
    values.push_back(std::move(*value));
  }
  std::vector<std::string> places;
  for (std::size_t i = 0; i < config_.headers.size(); ++i) {
    inject_field(exchange, config_.headers[i].name, exchange.hold(std::move(values[i])));
    places.push_back("header:" + config_.headers[i].name);
  }
  Annotations().texts("injected", places).write(trace.annotations);
  return Verdict::pass;
}

Verdict HmacSign::on_request(Exchange& exchange, Trace& trace) const {
  if (!applies(exchange)) return Verdict::pass;
  if (!can_sign_body(kName, exchange, trace, config_.allow_chunked_body)) return Verdict::reject;
  Values values;
  if (const auto missing = look(exchange, trace, values)) return *missing;
  warn_of_undeclared_length(kName, warn_, exchange);
  const std::string time = time_text(now_(), config_.time_format);
  const SignedTarget target(exchange);
  const Secret bytes = leaving_body(exchange.body);
  const TemplateData message_data{"hmacsign.messageData",
                                  {{"Timestamp", time},
                                   {"Method", exchange.request.method},
                                   {"Path", target.path.reveal()},
                                   {"PathWithQuery", target.path_with_query.reveal()},
                                   {"Query", target.query.reveal()},
                                   {"Host", exchange.authority.host},
                                   {"Body", bytes.reveal()}}};
  const Result<Secret> message = config_.message->run(message_data);
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
