#include "transforms/sources/connect_answer.h"

#include <algorithm>
#include <utility>

#include "policy/http_status.h"
#include "policy/json/json_reader.h"
#include "policy/quote.h"
#include "transforms/sources/call_parts.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kScheme = "op://";
constexpr policy::JsonLimits kLimits{.bytes = 1 << 20};

Error undecodable(const std::string& why) { return fail("decoding response: " + why); }

/// `section` of a field: an object that says which.
bool is_in(const SecretJson& field, const std::string& section) {
  const auto named = field.member("section");
  if (!named) return false;
  const auto id = named->member("id"), label = named->member("label");
  return (id && id->is(section)) || (label && label->is(section));
}

}  // namespace

Result<ConnectReference> ConnectReference::parse(const std::string& text) {
  const std::string front = "1password_connect: secret_ref " + policy::quoted(text);
  if (!text.starts_with(kScheme)) return fail(front + " must start with \"op://\"");
  std::vector<std::string> parts(1);
  for (const char c : text.substr(kScheme.size())) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (parts.size() < 3 || parts.size() > 4) {
    return fail(front + " must have 3 or 4 path segments (op://vault/item/[section/]field)");
  }
  if (std::ranges::find(parts, "") != parts.end())
    return fail(front + " has an empty path segment");
  ConnectReference out;
  out.whole = text;
  out.vault = parts[0];
  out.item = parts[1];
  out.field = parts.back();
  if (parts.size() == 4) out.section = parts[2];
  return out;
}

bool is_connect_id(std::string_view text) {
  return text.size() == 26 && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

std::string connect_filter(std::string_view title) {
  return "?filter=" + query_value("title eq \"" + std::string(title) + "\"");
}

Result<std::vector<ConnectItem>> read_connect_list(const CallAnswer& answer) {
  policy::JsonReader reader;
  const auto root = reader.parse(answer.body.reveal(), kLimits);
  if (!root) return undecodable(root.error().text);
  const auto elements = root->read<policy::JsonArray>();
  if (!elements) return undecodable(elements.error().text);
  std::vector<ConnectItem> out;
  for (const policy::JsonValue element : *elements) {
    const auto object = element.read<policy::JsonObject>();
    if (!object) return undecodable(object.error().text);
    const auto id = object->required<std::string_view>("id");
    if (!id) return undecodable(id.error().text);
    const auto vault = object->optional<policy::JsonObject>("vault");
    if (!vault) return undecodable(vault.error().text);
    ConnectItem item{std::string(*id), {}};
    if (*vault) {
      const auto of = (*vault)->optional<std::string_view>("id");
      if (!of) return undecodable(of.error().text);
      item.vault = of->value_or("");
    }
    out.push_back(std::move(item));
  }
  return out;
}

Result<std::optional<Secret>> read_connect_field(const Secret& item,
                                                 const ConnectReference& reference) {
  const auto document = SecretJson::parse(item.reveal());
  if (!document || document->kind() != SecretJson::Kind::object) {
    return undecodable("invalid JSON");
  }
  const auto fields = document->member("fields");
  if (!fields) return std::optional<Secret>();
  for (const SecretJson& field : fields->elements()) {
    const auto id = field.member("id"), label = field.member("label");
    const bool named = (id && id->is(reference.field)) || (label && label->is(reference.field));
    if (!named || (reference.section && !is_in(field, *reference.section))) continue;
    const auto value = field.member("value");
    return std::optional<Secret>(value ? value->text() : Secret());
  }
  return std::optional<Secret>();
}

std::string connect_refusal(const CallAnswer& answer, const std::vector<SecretPtr>& keys) {
  policy::JsonReader reader;
  const auto root = reader.parse(answer.body.reveal(), kLimits);
  if (root) {
    const auto object = root->read<policy::JsonObject>();
    if (object) {
      const auto status = object->optional<std::int64_t>("status");
      const auto message = object->optional<std::string_view>("message");
      const bool told_status = status.has_value() && status->has_value();
      const bool told_message = message.has_value() && message->has_value();
      if (told_status || told_message) {
        return "status " + std::to_string(told_status ? **status : answer.status) + ": " +
               (told_message ? told(**message, keys) : std::string());
      }
    }
  }
  return "status " + std::to_string(answer.status) + ": " +
         std::string(status_reason(answer.status));
}

}  // namespace iron::transforms
