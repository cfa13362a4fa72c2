#include "policy/match/url.h"

#include <algorithm>
#include <charconv>

#include "policy/match/host.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

Error unusable(std::string_view text, const std::string& why) {
  return fail("parse " + quoted(text) + ": " + why);
}

bool is_visible(char c) { return c > 0x20 && c < 0x7F; }

/// The bytes that may be written as they are; a blank or a byte beyond ASCII is percent-encoded.
std::string visible(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_visible(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// Where the port's colon is; npos: there is none.
std::size_t port_colon(std::string_view authority) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  const bool inside = bracket != std::string_view::npos && colon < bracket;
  return inside ? std::string_view::npos : colon;
}

Result<void> read_authority(std::string_view text, std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos) {
    return unusable(text, "a user is not supported here");
  }
  const std::size_t colon = port_colon(authority);
  url.port = url.https ? 443 : 80;
  if (colon != std::string_view::npos && colon + 1 < authority.size()) {
    const auto port = read_port(authority.substr(colon + 1));
    if (!port) {
      return unusable(text, "invalid port " + quoted(authority.substr(colon)) + " after host");
    }
    url.port = *port;
  }
  const auto parsed = Authority::parse(authority.substr(0, colon));
  if (!parsed) return unusable(text, "invalid character in host name");
  if (parsed->host.empty()) return fail(quoted(text) + " has no host");
  url.host = parsed->host;
  url.literal = parsed->literal;
  url.authority = authority;
  return {};
}

void read_rest(std::string_view rest, Url& url) {
  rest = rest.substr(0, rest.find('#'));
  const std::size_t mark = rest.find('?');
  url.has_query = mark != std::string_view::npos;
  url.path = visible(rest.substr(0, mark));
  if (url.path.empty()) url.path = "/";
  url.query = url.has_query ? visible(rest.substr(mark + 1)) : std::string();
}

/// RFC 3986 section 5.2.4.
std::string without_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);
    const bool last = end == path.size();
    if (segment == "/.") {
      if (last) out += '/';
    } else if (segment == "/..") {
      out.erase(std::min(out.rfind('/'), out.size()));
      if (last) out += '/';
    } else {
      out += segment;
    }
    path.remove_prefix(end);
  }
  return out.empty() ? "/" : out;
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  const bool control = std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (control) return unusable(text, "invalid control character in URL");
  Url url;
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return fail(quoted(text) + " has no host");
  const std::string scheme = ascii_lower(text.substr(0, colon));
  url.https = scheme == "https";
  if (!url.https && scheme != "http") return unusable(text, "unsupported protocol scheme");
  const std::string_view rest = text.substr(colon + 3);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const Result<void> host = read_authority(text, rest.substr(0, end), url);
  if (host.has_error()) return host.error();
  read_rest(rest.substr(end), url);
  return url;
}

Result<Url> Url::resolve(std::string_view location) const {
  const std::string scheme = https ? "https" : "http";
  const std::size_t colon = location.find_first_of(":/?#");
  if (colon != std::string_view::npos && location[colon] == ':') return parse(location);
  if (location.starts_with("//")) return parse(scheme + ":" + std::string(location));
  const std::size_t end = std::min(location.find_first_of("?#"), location.size());
  std::string target(location.substr(0, end));
  if (target.empty()) {
    target = path;
  } else if (target.front() != '/') {
    target = path.substr(0, path.rfind('/') + 1) + target;
  }
  return parse(scheme + "://" + authority + without_dot_segments(target) +
               std::string(location.substr(end)));
}

std::string Url::text() const {
  return (https ? "https://" : "http://") + authority + path + (has_query ? "?" + query : "");
}

}  // namespace iron::policy
