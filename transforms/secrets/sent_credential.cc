#include "transforms/secrets/sent_credential.h"

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

/// Calls `see(pair, part)` for each credential: where its pair begins, and what of that it is. Some
/// origins split at `;` too, as for `inject`: a name may stand behind it, and a value goes on.
/// True: `see` ended it.
template <class See>
bool each_parameter(std::string_view query, std::string& name, See see) {
  std::size_t pair = 0;
  for (std::size_t at = 0; at < query.size();) {
    const std::string_view rest = query.substr(at);
    const std::size_t equals = std::min(rest.find('='), rest.size());
    const std::size_t end = std::min(rest.find_first_of("&;"), rest.size());
    const bool has_value = equals < end && equals + 1 < std::min(rest.find('&'), rest.size());
    const bool known =
        has_value && decode_form(rest.substr(0, equals), name) && is_one_of(name, kParameters);
    if (known && see(pair, rest.substr(0, end))) return true;
    at += end + 1;
    if (end < rest.size() && rest[end] == '&') pair = at;
  }
  return false;
}

/// Of what a pattern names only the known ones: it may name what is no credential, too. Cookies are
/// set by servers themselves.
bool is_surely_credential(const SecretEntry& entry, const Field& field) {
  if (!is_credential(entry, field) || iequals(field.name, "Cookie")) return false;
  if (is_one_of(field.name, kFields)) return true;
  return !entry.match_headers.literal(*entry.match_headers.find(field.name)).empty();
}

}  // namespace

bool sends_credential(const SecretEntry& entry, Exchange& exchange) {
  const bool in_field =
      std::ranges::any_of(exchange.request.headers.all(),
                          [&](const Field& field) { return is_credential(entry, field); });
  if (in_field || !entry.match_query) return in_field;
  return each_parameter(exchange.raw_query, exchange.scratch.text,
                        [](std::size_t, std::string_view) { return true; });
}

bool sends_other_credential(const SecretEntry& entry, Exchange& exchange) {
  const bool in_field = std::ranges::any_of(
      exchange.request.headers.all(),
      [&](const Field& field) { return field.rewrite == 0 && is_surely_credential(entry, field); });
  if (in_field || !entry.match_query) return in_field;
  const std::string_view query = exchange.raw_query;
  return each_parameter(query, exchange.scratch.text, [&](std::size_t pair, std::string_view part) {
    const bool whole = pair + part.size() == std::min(query.find('&', pair), query.size());
    const bool swapped = exchange.find_rewrite_of_pair(pair) != nullptr &&
                         (whole || part.find(entry.token, part.find('=')) != part.npos);
    return !swapped;
  });
}

}  // namespace iron::transforms
