#include "proxy/http/header_rules.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "proxy/http/answers.h"
#include "proxy/http/connection_login.h"
#include "proxy/http/field_text.h"
#include "proxy/wait/buffers.h"
#include "transforms/rewrite.h"

namespace iron::proxy {
namespace {

bool is_framing_or_host(std::string_view name) {
  return iequals(name, "Host") || iequals(name, "Content-Length") ||
         iequals(name, "Transfer-Encoding");
}

bool always_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 7:
      return iequals(name, "Trailer") || iequals(name, "Upgrade");
    case 10:
      return iequals(name, "Connection") || iequals(name, "Keep-Alive");
    case 16:
      return iequals(name, "Proxy-Connection");
    case 18:
      return iequals(name, "Proxy-Authenticate");
    case 19:
      return iequals(name, "Proxy-Authorization");
    default:
      return false;
  }
}

char* put(char* out, std::string_view text) {
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

}  // namespace

HopByHop read_connection(const Headers& headers) {
  HopByHop result;
  for (const Field& field : headers.all()) {
    if (field.name.size() == 10 && iequals(field.name, "Connection")) {
      result.close = result.close || has_token(field.value, "close");
      result.keep_alive = result.keep_alive || has_token(field.value, "keep-alive");
    } else if (field.name.size() == 2 && iequals(field.name, "TE")) {
      result.te_trailers = result.te_trailers || has_token(field.value, "trailers");
    } else if (logs_connection_in(field.name, field.value)) {
      result.connection_login = true;
    }
  }
  return result;
}

namespace {

/// Field names that Connection lists, as fields without value; framing fields and Host cannot be
/// shed that way.
Headers connection_names(const Headers& headers) {
  Headers named;
  for (const Field& field : headers.all()) {
    if (!iequals(field.name, "Connection")) continue;
    for_each_token(field.value, [&](std::string_view token) {
      if (is_framing_or_host(token) || iequals(token, "close") || iequals(token, "keep-alive"))
        return;
      named.add(token, {});
    });
  }
  return named;
}

}  // namespace

void strip_request(Headers& headers, bool upgrade) {
  const Headers named = connection_names(headers);
  bool te_sent = false, connection_sent = false, upgrade_sent = false;
  const auto again = [](bool& sent) { return std::exchange(sent, true); };
  for (Field& field : headers.all()) {
    if (upgrade && iequals(field.name, "Connection")) field.value = "Upgrade";
    if (upgrade && iequals(field.name, "Upgrade")) field.value = "websocket";
    if (iequals(field.name, "TE") && has_token(field.value, "trailers")) field.value = "trailers";
  }
  headers.remove_if([&](const Field& field) {
    if (upgrade && iequals(field.name, "Connection")) return again(connection_sent);
    if (upgrade && iequals(field.name, "Upgrade")) return again(upgrade_sent);
    if (always_hop_by_hop(field.name)) return true;
    if (iequals(field.name, "TE")) return field.value != "trailers" || again(te_sent);
    return named.size() > 0 && named.find(field.name) != nullptr;
  });
}

void strip_response(Headers& headers, bool keep_trailer) {
  const Headers named = connection_names(headers);
  headers.remove_if([&](const Field& field) {
    if (keep_trailer && iequals(field.name, "Trailer")) return false;
    if (always_hop_by_hop(field.name) || iequals(field.name, "TE")) return true;
    return named.size() > 0 && named.find(field.name) != nullptr;
  });
}

void strip_switching(Headers& headers) {
  const Headers named = connection_names(headers);
  bool connection_sent = false, upgrade_sent = false;
  for (Field& field : headers.all()) {
    if (iequals(field.name, "Connection")) field.value = "Upgrade";
    if (iequals(field.name, "Upgrade")) field.value = "websocket";
  }
  headers.remove_if([&](const Field& field) {
    if (iequals(field.name, "Connection")) return std::exchange(connection_sent, true);
    if (iequals(field.name, "Upgrade")) return std::exchange(upgrade_sent, true);
    if (always_hop_by_hop(field.name) || iequals(field.name, "TE")) return true;
    return named.size() > 0 && named.find(field.name) != nullptr;
  });
}

namespace {

/// 16 octets in base64: 22 characters and two pads. OpenSSL's decoder would take pads and blanks
/// anywhere.
bool is_websocket_key(std::string_view key) {
  if (key.size() != 24 || key.substr(22) != "==") return false;
  for (const char c : key.substr(0, 22)) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alnum && c != '+' && c != '/') return false;
  }
  return true;
}

}  // namespace

bool is_websocket_upgrade(const Request& request, const BodyFraming& framing) {
  if (request.method != "GET" || request.minor_version != 1 ||
      framing.kind != BodyFraming::Kind::none) {
    return false;
  }
  const Field* upgrade = request.headers.find("Upgrade");
  if (upgrade == nullptr || !iequals(upgrade->value, "websocket") ||
      request.headers.count("Upgrade") != 1) {
    return false;
  }
  bool asked = false;
  for (const Field& field : request.headers.all()) {
    if (iequals(field.name, "Connection")) asked = asked || has_token(field.value, "upgrade");
  }
  const Field* key = request.headers.find("Sec-WebSocket-Key");
  const Field* version = request.headers.find("Sec-WebSocket-Version");
  if (!asked || key == nullptr || version == nullptr || version->value != "13" ||
      request.headers.count("Sec-WebSocket-Key") != 1 ||
      request.headers.count("Sec-WebSocket-Version") != 1) {
    return false;
  }
  return is_websocket_key(key->value);
}

std::string websocket_accept(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  unsigned char encoded[64];
  const int length = EVP_EncodeBlock(encoded, digest, static_cast<int>(size));
  return std::string(reinterpret_cast<char*>(encoded), static_cast<std::size_t>(length));
}

std::size_t request_head_bound(const transforms::Exchange& exchange, std::string_view host) {
  std::size_t bound =
      exchange.request.method.size() + transforms::target_bound(exchange) + host.size() + 128;
  for (const Field& field : exchange.request.headers.all()) {
    bound += transforms::field_name(exchange, field).size() +
             transforms::field_value_bound(exchange, field) + 4;
  }
  return bound;
}

WrittenHead write_request_head(const transforms::Exchange& exchange,
                               std::string_view host,
                               const UpstreamFraming& framing,
                               char* out) {
  WrittenHead written;
  const Headers& headers = exchange.request.headers;
  out = put(out, exchange.request.method);
  *out++ = ' ';
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
  written.end = put(out, "\r\n");
  return written;
}

namespace {

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

/// More than the status line and all fields that are added take.
constexpr std::size_t kHeadOfOurOwn = 320;

void append_number(std::string& out, std::int64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

}  // namespace

void write_response_head(const Response& response,
                         const ResponseHeadOptions& options,
                         std::string& out) {
  std::size_t size = kHeadOfOurOwn + response.reason.size();
  for (const Field& field : response.headers.all())
    size += field.name.size() + field.value.size() + 4;
  make_room(out, size);
  out.append(options.client_minor == 1 ? "HTTP/1.1 " : "HTTP/1.0 ");
  append_number(out, response.status);
  out.append(" ").append(response.reason).append("\r\n");
  bool dated = false, chunked = false;
  for (const Field& field : response.headers.all()) {
    switch (field.name.size()) {
      case 4:
        dated = dated || iequals(field.name, "Date");
        break;
      case 14:
        if (!iequals(field.name, "Content-Length")) break;
        if (options.drop_length || options.new_length >= 0) continue;
        break;
      case 17:
        if (!iequals(field.name, "Transfer-Encoding")) break;
        if (options.framing != ClientFraming::chunked) continue;
        chunked = true;
        break;
      default:
        break;
    }
    append_line(out, field.name, field.value);
  }
  if (options.new_length >= 0) {
    out.append("Content-Length: ");
    append_number(out, options.new_length);
    out.append("\r\n");
  }
  if (!dated && response.status >= 200) append_line(out, "Date", http_date());
  if (options.framing == ClientFraming::chunked && !chunked) {
    append_line(out, "Transfer-Encoding", "chunked");
  }
  if (options.upgrade && response.headers.find("Connection") == nullptr) {
    append_line(out, "Connection", "Upgrade");
  }
  if (options.upgrade && response.headers.find("Upgrade") == nullptr) {
    append_line(out, "Upgrade", "websocket");
  }
  if (options.close) append_line(out, "Connection", "close");
  if (options.keep_alive_10) append_line(out, "Connection", "keep-alive");
  out.append("\r\n");
}

}  // namespace iron::proxy
