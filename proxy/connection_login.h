#pragma once

#include <string_view>

#include "policy/http_message.h"

namespace iron::proxy {

/// NTLM and Negotiate authenticate a connection, not a request: who sends the next request on it is
/// taken for the same user (RFC 4559 section 5, RFC 9110 section 11.6.2).

/// Whether the field may hold credentials: `Authorization` or `Proxy-Authorization`.
bool is_credentials_field(std::string_view name);
/// Whether the value of such a field is of one of these schemes.
bool logs_connection_in(std::string_view credentials);
/// Whether a 401 or 407 offers one of them, alone or among other challenges.
bool offers_connection_login(const Response& response);

}  // namespace iron::proxy
