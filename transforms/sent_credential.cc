#include "transforms/sent_credential.h"

#include <algorithm>

#include "policy/http_message.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

/// Fields in which the servers that tokens are made for take credentials.
constexpr std::string_view kFields[] = {"Authorization",  "X-Api-Key",     "Api-Key",
                                        "X-Goog-Api-Key", "Private-Token", "X-Auth-Token",
                                        "Cookie"};
constexpr std::string_view kParameters[] = {"key", "api_key", "apikey", "token", "access_token"};

template <std::size_t Count>
bool is_one_of(std::string_view name, const std::string_view (&names)[Count]) {
  return std::ranges::any_of(names, [&](std::string_view known) { return iequals(known, name); });
}

bool is_credential(const SecretEntry& entry, const Field& field) {
  if (field.value.empty() || is_outside_field_set(field.name)) return false;
  if (entry.match_headers.empty()) return is_one_of(field.name, kFields);
  return entry.match_headers.find(field.name).has_value();
}

/// Some origins split at `;` too, as for `inject`: a name may stand behind it, and a value goes on.
bool query_has_credential(std::string_view query, std::string& name) {
  while (!query.empty()) {
    const std::size_t equals = std::min(query.find('='), query.size());
    const std::size_t end = std::min(query.find_first_of("&;"), query.size());
    const bool has_value = equals < end && equals + 1 < std::min(query.find('&'), query.size());
    if (has_value && decode_form(query.substr(0, equals), name) && is_one_of(name, kParameters)) {
      return true;
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return false;
}

}  // namespace

bool sends_credential(const SecretEntry& entry, Exchange& exchange) {
  const bool in_field =
      std::ranges::any_of(exchange.request.headers.all(),
                          [&](const Field& field) { return is_credential(entry, field); });
  if (in_field || !entry.match_query) return in_field;
  return query_has_credential(exchange.raw_query, exchange.scratch.text);
}

}  // namespace iron::transforms
