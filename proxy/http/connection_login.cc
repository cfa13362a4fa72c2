#include "proxy/http/connection_login.h"

#include <algorithm>

namespace iron::proxy {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_scheme(std::string_view word) {
  return iequals(word, "NTLM") || iequals(word, "Negotiate");
}

/// Whether the element of a list of challenges, which is a challenge, its beginning, or a
/// parameter, begins with one of the schemes.
bool begins_with_scheme(std::string_view element) {
  while (!element.empty() && is_blank(element.front())) element.remove_prefix(1);
  // Nearly all credentials are Bearer or Basic: 250 instructions less for each of a request's
  // heads.
  if (element.empty() || (element.front() | 0x20) != 'n') return false;
  return is_scheme(element.substr(0, element.find_first_of(" \t")));
}

/// Where the element at the beginning of `list` ends: at a comma outside of quotes.
std::size_t element_end(std::string_view list) {
  bool quoted = false;
  for (std::size_t at = 0; at < list.size(); ++at) {
    const char c = list[at];
    if (quoted && c == '\\') {
      ++at;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      return at;
    }
  }
  // What never ends its quotes cannot be read: each comma may be one.
  return quoted ? std::min(list.find(','), list.size()) : list.size();
}

bool offers_in(std::string_view challenges) {
  while (true) {
    const std::size_t end = element_end(challenges);
    if (begins_with_scheme(challenges.substr(0, end))) return true;
    if (end == challenges.size()) return false;
    challenges.remove_prefix(end + 1);
  }
}

}  // namespace

bool is_connection_login(std::string_view name, std::string_view value) {
  // The value first: one letter rules out nearly all credentials.
  return begins_with_scheme(value) &&
         (iequals(name, kAuthorization) || iequals(name, kProxyAuthorization));
}

bool offers_connection_login(const Response& response) {
  if (response.status != 401 && response.status != 407) return false;
  const auto& fields = response.headers.all();
  return std::any_of(fields.begin(), fields.end(), [](const Field& field) {
    const bool challenges =
        iequals(field.name, "WWW-Authenticate") || iequals(field.name, "Proxy-Authenticate");
    return challenges && offers_in(field.value);
  });
}

}  // namespace iron::proxy
