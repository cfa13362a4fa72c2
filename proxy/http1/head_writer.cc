#include "proxy/http1/head_writer.h"

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "proxy/http/answers.h"
#include "proxy/http/connection_login.h"
#include "proxy/http/header_rules.h"
#include "proxy/wait/buffers.h"
#include "transforms/rewrite.h"

namespace iron::proxy {
namespace {

char* put(char* out, std::string_view text) {
  if (text.empty()) return out;  // whose bytes may be nowhere
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

constexpr std::string_view kLengthName = "Content-Length";

/// `name` is the field's as the client spells it.
char* put_length(char* out, std::uint64_t length, std::string_view name = kLengthName) {
  out = put(put(out, name), ": ");
  out = std::to_chars(out, out + 20, length).ptr;
  return put(out, "\r\n");
}

/// Methods for which a request without a body needs no framing field; others say `Content-Length:
/// 0`.
bool bodyless_by_custom(std::string_view method) {
  static constexpr std::array<std::string_view, 7> kMethods = {
      "GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "SEARCH", "CONNECT"};
  for (const std::string_view known : kMethods) {
    if (method == known) return true;
  }
  return false;
}

char* put_framing(char* out,
                  const UpstreamFraming& framing,
                  std::string_view received_name = kLengthName) {
  if (framing.kind == UpstreamFraming::Kind::length) {
    const bool kept = iequals(received_name, kLengthName);
    return put_length(out, framing.length, kept ? received_name : kLengthName);
  }
  if (framing.kind == UpstreamFraming::Kind::chunked) {
    return put(out, "Transfer-Encoding: chunked\r\n");
  }
  return out;
}

constexpr std::string_view kLogin = "Proxy-Authorization: Basic ";

char* put_login(char* out, const ParentForm& parent) {
  if (parent.login == nullptr) return out;
  return put(put(put(out, kLogin), parent.login->basic()), "\r\n");
}

}  // namespace

std::size_t request_head_bound(const transforms::Exchange& exchange,
                               std::string_view host,
                               const ParentForm* parent) {
  std::size_t bound =
      exchange.request.method.size() + transforms::target_bound(exchange) + host.size() + 128;
  for (const Field& field : exchange.request.headers.all()) {
    bound += transforms::field_name(exchange, field).size() +
             transforms::field_value_bound(exchange, field) + 4;
  }
  if (parent != nullptr) {
    bound += parent->origin.size() + kLogin.size() + 2;
    if (parent->login != nullptr) bound += parent->login->basic().size();
  }
  return bound;
}

WrittenHead write_request_head(const transforms::Exchange& exchange,
                               std::string_view host,
                               const UpstreamFraming& framing,
                               char* out,
                               const ParentForm* parent) {
  WrittenHead written;
  const Headers& headers = exchange.request.headers;
  out = put(out, exchange.request.method);
  *out++ = ' ';
  // To a parent the absolute form, which has nothing behind the host where the origin's own options
  // are asked for (RFC 9112 section 3.2.4).
  if (parent != nullptr) [[unlikely]]
    out = put(out, parent->origin);
  const bool whole_origin = parent != nullptr && exchange.raw_path == "*";
  if (!whole_origin) [[likely]]
    out = transforms::write_target(exchange, out);
  out = put(out, " HTTP/1.1\r\n");
  bool host_written = headers.find("Host") != nullptr;
  if (!host_written) out = put(put(put(out, "Host: "), host), "\r\n");
  bool framed = framing.kind == UpstreamFraming::Kind::none;
  for (const Field& field : headers.all()) {
    if (field.name.size() == 4 && iequals(field.name, "Host")) {
      out = put(put(put(put(out, field.name), ": "), host), "\r\n");
      continue;
    }
    if (is_framing_or_host(field.name)) {
      if (framing.kind == UpstreamFraming::Kind::as_received) {
        out = put(put(put(put(out, field.name), ": "), field.value), "\r\n");
        framed = true;
      } else if (!std::exchange(framed, true)) {
        out = put_framing(out, framing, field.name);
      }
      continue;
    }
    const std::string_view name = transforms::field_name(exchange, field);
    char* const value = put(put(out, name), ": ");
    out = transforms::write_field_value(exchange, field, value);
    if (field.rewrite != 0 &&
        logs_connection_in(name, {value, static_cast<std::size_t>(out - value)})) {
      written.connection_login = true;
    }
    out = put(out, "\r\n");
  }
  if (!framed && framing.kind != UpstreamFraming::Kind::as_received) {
    out = put_framing(out, framing);
  } else if (!framed && !bodyless_by_custom(exchange.request.method)) {
    out = put_length(out, 0);
  }
  if (parent != nullptr) [[unlikely]]
    out = put_login(out, *parent);
  written.end = put(out, "\r\n");
  return written;
}

namespace {

/// More than the status line and all fields that are added take.
constexpr std::size_t kHeadOfOurOwn = 320;

char* put_line(char* out, std::string_view name, std::string_view value) {
  return put(put(put(put(out, name), ": "), value), "\r\n");
}

char* put_number(char* out, std::int64_t value) { return std::to_chars(out, out + 24, value).ptr; }

std::size_t response_head_bound(const Response& response) {
  std::size_t bound = kHeadOfOurOwn + response.reason.size();
  for (const Field& field : response.headers.all()) {
    bound += field.name.size() + field.value.size() + 4;
  }
  return bound;
}

/// Writes what is framed and kept of the answer's own fields. `dated`, `chunked`: those are there.
char* put_received(char* out,
                   const Response& response,
                   const ResponseHeadOptions& options,
                   bool& dated,
                   bool& chunked) {
  for (const Field& field : response.headers.all()) {
    switch (field.name.size()) {
      case 4:
        dated = dated || iequals(field.name, "Date");
        break;
      case 14:
        if (!iequals(field.name, "Content-Length")) break;
        if (options.drop_length) continue;
        break;
      case 17:
        if (!iequals(field.name, "Transfer-Encoding")) break;
        if (options.framing != ClientFraming::chunked) continue;
        chunked = true;
        break;
      default:
        break;
    }
    out = put_line(out, field.name, field.value);
  }
  return out;
}

}  // namespace

void write_response_head(const Response& response,
                         const ResponseHeadOptions& options,
                         std::string& text) {
  const std::size_t bound = response_head_bound(response), before = text.size();
  make_room(text, bound);
  text.resize(before + bound);
  char* out = put(text.data() + before, options.client_minor == 1 ? "HTTP/1.1 " : "HTTP/1.0 ");
  out = put_number(out, response.status);
  out = put(put(put(out, " "), response.reason), "\r\n");
  bool dated = false, chunked = false;
  out = put_received(out, response, options, dated, chunked);
  if (!dated && response.status >= 200) out = put_line(out, "Date", http_date());
  if (options.framing == ClientFraming::chunked && !chunked) {
    out = put_line(out, "Transfer-Encoding", "chunked");
  }
  if (options.upgrade && response.headers.find("Connection") == nullptr) {
    out = put_line(out, "Connection", "Upgrade");
  }
  if (options.upgrade && response.headers.find("Upgrade") == nullptr) {
    out = put_line(out, "Upgrade", "websocket");
  }
  if (options.close) out = put_line(out, "Connection", "close");
  if (options.keep_alive_10) out = put_line(out, "Connection", "keep-alive");
  out = put(out, "\r\n");
  text.resize(static_cast<std::size_t>(out - text.data()));
}

}  // namespace iron::proxy
