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

/// All that might be taken for the action: which of two counts is the service's affair.
void add_actions(std::string_view form, std::vector<std::string>& out) {
  std::string name, value;
  while (!form.empty()) {
    const std::string_view pair = form.substr(0, form.find_first_of("&;"));
    form.remove_prefix(std::min(form.size(), pair.size() + 1));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (!decode_form(pair.substr(0, equals), name)) name = pair.substr(0, equals);
    if (!iequals(name, "Action")) continue;
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
  const auto found = std::ranges::find_if(actions, [](const std::string& action) {
    return std::ranges::find(kHarmless, action) == kHarmless.end();
  });
  if (found == actions.end()) return std::nullopt;
  return found->substr(0, kLongestShown);
}

}  // namespace iron::transforms
