#pragma once

#include <string>
#include <string_view>

#include "policy/http_message.h"

namespace iron::proxy {

/// The answers of the metrics listener and of the management API, byte for byte
/// (docs/management.md). `close`: the connection ends behind it.

struct AdminAnswer {
  std::string_view status;
  std::string fields;  ///< field lines, in the order of their names
  std::string body;
  bool has_length = true;
};
std::string admin_answer(const AdminAnswer& answer, const Request& request, bool close);
/// `/healthz` has its fields in an order of its own.
std::string health_answer(const Request& request, bool close);
std::string not_found_answer(const Request& request, bool close);
std::string redirect_answer(const Request& request, std::string_view location, bool close);
/// `{"error":"…"}` and a line feed.
std::string json_error_body(std::string_view text);

/// The path as a file server would clean it: no `//`, `.`, `..`; a final slash stays.
std::string clean_path(std::string_view path);
/// `path` without bytes that a client may take for something else, `\\` for a slash above all.
std::string uri_path(std::string_view path);

}  // namespace iron::proxy
