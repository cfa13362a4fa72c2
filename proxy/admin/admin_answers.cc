#include "proxy/admin/admin_answers.h"

#include <algorithm>
#include <vector>

#include "policy/json/json_writer.h"
#include "proxy/http/answers.h"

namespace iron::proxy {
namespace {

/// What follows the fields of any answer: `Connection`, where the version does not say it already.
void end_head(std::string& out, const Request& request, bool close) {
  if (close && request.minor_version == 1) out.append("Connection: close\r\n");
  if (!close && request.minor_version == 0) out.append("Connection: keep-alive\r\n");
  out.append("\r\n");
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

std::string admin_answer(const AdminAnswer& answer, const Request& request, bool close) {
  std::string out = request.minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  out.append(answer.status).append("\r\n").append(answer.fields);
  out.append("Date: ").append(http_date()).append("\r\n");
  if (answer.has_length) {
    out.append("Content-Length: ").append(std::to_string(answer.body.size())).append("\r\n");
  }
  end_head(out, request, close);
  if (request.method != "HEAD") out.append(answer.body);
  return out;
}

std::string health_answer(const Request& request, bool close) {
  std::string out = request.minor_version == 1 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.0 200 OK\r\n";
  out.append("Date: ").append(http_date());
  out.append("\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n");
  end_head(out, request, close);
  if (request.method != "HEAD") out.append("OK");
  return out;
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

std::string redirect_answer(const Request& request, std::string_view location, bool close) {
  AdminAnswer answer{"307 Temporary Redirect", "Location: " + std::string(location) + "\r\n", {}};
  if (request.method == "GET" || request.method == "HEAD") {
    answer.fields.insert(0, "Content-Type: text/html; charset=utf-8\r\n");
    answer.body = "<a href=\"" + html_escaped(location) + "\">Temporary Redirect</a>.\n\n";
    answer.has_length = request.method == "GET";
  }
  return admin_answer(answer, request, close);
}

std::string not_found_answer(const Request& request, bool close) {
  return admin_answer(
      {"404 Not Found",
       "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n",
       "404 page not found\n"},
      request, close);
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
