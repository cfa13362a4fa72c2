#pragma once

#include <string>
#include <string_view>

#include "proxy/admin/web_message.h"

namespace iron::proxy {

/// The answers of the metrics listener and of the management API, with their fields in the order in
/// which they leave (docs/management.md). answer_bytes() adds what depends on the connection.

/// `OK`; its fields have an order of their own.
WebAnswer health_answer();
WebAnswer not_found_answer();
/// To OPTIONS for the server as a whole.
WebAnswer options_answer();
/// To where a path leads; `location` is at most kLongestWebField long.
WebAnswer redirect_answer(std::string_view method, std::string_view location);
WebAnswer json_answer(boost::beast::http::status status, std::string body);
WebAnswer only_post_answer();
/// `{"error":"…"}` and a line feed.
std::string json_error_body(std::string_view text);

/// The path as a file server would clean it: no `//`, `.`, `..`; a final slash stays.
std::string clean_path(std::string_view path);
/// `path` without bytes that a client may take for something else, `\\` for a slash above all.
std::string uri_path(std::string_view path);

}  // namespace iron::proxy
