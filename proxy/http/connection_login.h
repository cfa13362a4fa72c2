#pragma once

#include <string_view>

#include "policy/http_message.h"

namespace iron::proxy {

/// NTLM and Negotiate authenticate a connection, not a request: who sends the next request on it is
/// taken for the same user (RFC 4559 section 5, RFC 9110 section 11.6.2).

constexpr std::string_view kAuthorization = "Authorization";
constexpr std::string_view kProxyAuthorization = "Proxy-Authorization";

/// The whole check behind logs_connection_in().
bool is_connection_login(std::string_view name, std::string_view value);

/// Whether the field is `Authorization` or `Proxy-Authorization` with one of these schemes.
inline bool logs_connection_in(std::string_view name, std::string_view value) {
  // In place, as every field of a request is asked: 230 instructions less for each request.
  // `Cache-Control: no-cache` has the length of one and the letter of a scheme.
  const bool may_be = (name.size() == kAuthorization.size() && (name.front() | 0x20) == 'a') ||
                      (name.size() == kProxyAuthorization.size() && (name.front() | 0x20) == 'p');
  return may_be && is_connection_login(name, value);
}
/// Whether a 401 or 407 offers one of them, alone or among other challenges.
bool offers_connection_login(const Response& response);

}  // namespace iron::proxy
