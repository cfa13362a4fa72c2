#include "proxy/http/header_rules.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <utility>

#include "proxy/http/connection_login.h"
#include "proxy/http/field_text.h"

namespace iron::proxy {
namespace {

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

namespace {

bool is_type(std::string_view value, std::string_view type) {
  if (!iequals(value.substr(0, type.size()), type)) return false;
  const std::string_view rest = value.substr(type.size());
  return rest.empty() || std::string_view("; \t+,").find(rest.front()) != rest.npos;
}

}  // namespace

bool may_be_silent(const Headers& headers) {
  const Field* type = headers.find("Content-Type");
  return type != nullptr &&
         (is_type(type->value, "text/event-stream") || is_type(type->value, "application/grpc"));
}

}  // namespace iron::proxy
