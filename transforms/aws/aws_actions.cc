#include "transforms/aws/aws_actions.h"

#include <algorithm>
#include <array>
#include <vector>

#include "policy/http_message.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLongestShown = 128;
constexpr std::array<std::string_view, 3> kHarmless{
    "GetCallerIdentity", "DecodeAuthorizationMessage", "GetAccessKeyInfo"};

/// Whether the letters of a name are those of `Action`, whatever stands between them.
bool spells_action(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    const char lower = static_cast<char>(c | 0x20);
    if (lower >= 'a' && lower <= 'z') letters += lower;
  }
  return letters == "action";
}

bool is_plain_form(const Exchange& exchange) {
  const Headers& headers = exchange.request.headers;
  const Field* type = headers.find("Content-Type");
  if (headers.count("Content-Type") > 1) return false;
  // Without a type a body can be nothing but the form that it reads as here.
  const bool form = type == nullptr || iequals(type->value, "application/x-www-form-urlencoded") ||
                    iequals(type->value, "application/x-www-form-urlencoded; charset=utf-8") ||
                    iequals(type->value, "application/x-www-form-urlencoded;charset=utf-8");
  const Field* payload = headers.find("X-Amz-Content-Sha256");
  const bool streams = payload != nullptr && payload->value.starts_with("STREAMING");
  return form && !streams && headers.find("Content-Encoding") == nullptr;
}

/// What a call says in more than one way, or in a way that is not read here, may be another call to
/// the service.
bool says_it_plainly(const Exchange& exchange) {
  const bool empty = exchange.body.bytes.empty();
  return (exchange.path == "/" || exchange.path.empty()) && (empty || is_plain_form(exchange)) &&
         exchange.request.headers.count("X-Amz-Target") == 0;
}

/// All that might be taken for the action: which of two counts is the service's affair.
void add_actions(std::string_view form, std::vector<std::string>& out) {
  std::string name, value;
  while (!form.empty()) {
    const std::string_view pair = form.substr(0, form.find_first_of("&;"));
    form.remove_prefix(std::min(form.size(), pair.size() + 1));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (!decode_form(pair.substr(0, equals), name)) name = pair.substr(0, equals);
    if (!spells_action(name)) continue;
    // In a spelling that only some take for it there is no telling what is meant.
    if (name != "Action") out.emplace_back();
    const std::string_view raw = pair.substr(std::min(pair.size(), equals + 1));
    if (!decode_form(raw, value)) value = raw;
    out.push_back(value);
  }
}

}  // namespace

bool issues_aws_keys(std::string_view service) { return iequals(service, "sts"); }

std::optional<std::string> key_issuing_action(const Exchange& exchange) {
  std::vector<std::string> actions;
  add_actions(exchange.raw_query, actions);
  add_actions(exchange.body.bytes, actions);
  // The JSON protocols of AWS name it in a field.
  if (const Field* target = exchange.request.headers.find("X-Amz-Target")) {
    actions.emplace_back(target->value.substr(target->value.rfind('.') + 1));
  }
  if (actions.empty()) return std::string();
  if (!says_it_plainly(exchange)) return actions.back().substr(0, kLongestShown);
  const auto found = std::ranges::find_if(actions, [](const std::string& action) {
    return std::ranges::find(kHarmless, action) == kHarmless.end();
  });
  if (found == actions.end()) return std::nullopt;
  return found->substr(0, kLongestShown);
}

}  // namespace iron::transforms
