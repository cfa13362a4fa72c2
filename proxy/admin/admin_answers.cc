#include "proxy/admin/admin_answers.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "policy/json/json_writer.h"
#include "proxy/http/answers.h"

namespace iron::proxy {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kPlain = "text/plain; charset=utf-8";

WebAnswer begun(http::status status) {
  WebAnswer answer;
  answer.result(status);
  return answer;
}

void put_date(WebAnswer& answer) { answer.insert(http::field::date, http_date()); }

void put_length(WebAnswer& answer) {
  answer.insert(http::field::content_length, std::to_string(answer.body().size()));
}

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

WebAnswer health_answer() {
  WebAnswer answer = begun(http::status::ok);
  answer.body() = "OK";
  put_date(answer);
  put_length(answer);
  answer.insert(http::field::content_type, kPlain);
  return answer;
}

WebAnswer not_found_answer() {
  WebAnswer answer = begun(http::status::not_found);
  answer.body() = "404 page not found\n";
  answer.insert(http::field::content_type, kPlain);
  answer.insert("X-Content-Type-Options", "nosniff");
  put_date(answer);
  put_length(answer);
  return answer;
}

WebAnswer options_answer() {
  WebAnswer answer = begun(http::status::ok);
  put_length(answer);
  put_date(answer);
  return answer;
}

WebAnswer redirect_answer(std::string_view method, std::string_view location) {
  WebAnswer answer = begun(http::status::temporary_redirect);
  const bool get = method == "GET", head = method == "HEAD";
  if (get || head) answer.insert(http::field::content_type, "text/html; charset=utf-8");
  if (get) {
    answer.body() = "<a href=\"" + html_escaped(location) + "\">Temporary Redirect</a>.\n\n";
  }
  answer.insert(http::field::location, location);
  put_date(answer);
  if (!head) put_length(answer);
  return answer;
}

WebAnswer json_answer(http::status status, std::string body) {
  WebAnswer answer = begun(status);
  answer.body() = std::move(body);
  answer.insert(http::field::content_type, "application/json");
  put_date(answer);
  put_length(answer);
  return answer;
}

WebAnswer only_post_answer() {
  WebAnswer answer = begun(http::status::method_not_allowed);
  answer.body() = "{\"error\":\"method not allowed\"}\n";
  answer.insert(http::field::allow, "POST");
  answer.insert(http::field::content_type, "application/json");
  put_date(answer);
  put_length(answer);
  return answer;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> segments;
  std::size_t at = 0;
  while (at <= path.size()) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    if (segment == ".." && !segments.empty()) segments.pop_back();
    if (!segment.empty() && segment != "." && segment != "..") segments.push_back(segment);
    at = end + 1;
  }
  std::string clean;
  for (const std::string_view segment : segments) clean.append("/").append(segment);
  if (clean.empty() || path.back() == '/') clean += "/";
  return clean;
}

std::string uri_path(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kEncoded = "\"<>\\^`{|}";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && kEncoded.find(c) == kEncoded.npos) {
      out += c;
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::string json_error_body(std::string_view text) {
  std::string quoted;
  policy::append_json_string(quoted, text);
  // As in script contexts: these three are escaped in bodies, though not in the log.
  std::string body = "{\"error\":";
  for (const char c : quoted) {
    if (c == '<')
      body += "\\u003c";
    else if (c == '>')
      body += "\\u003e";
    else if (c == '&')
      body += "\\u0026";
    else
      body += c;
  }
  return body + "}\n";
}

}  // namespace iron::proxy
