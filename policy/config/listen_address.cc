#include "policy/config/listen_address.h"

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>

namespace iron::policy {
namespace {

const char* name_of(Transport transport) { return transport == Transport::tcp ? "tcp" : "udp"; }

Error bad_address(std::string_view text, const char* why) {
  if (text.empty()) return fail(why);
  return fail("address " + std::string(text) + ": " + why);
}

/// Port number of digits with an optional sign; far too large numbers stay too large. False: a
/// name.
bool read_number(std::string_view text, std::int64_t& out) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    if (value < 1000000000) value = value * 10 + (c - '0');
  }
  out = negative ? -value : value;
  return true;
}

/// A name that the C library would read as a number (`127.1`, `0x7f000001`) is no name.
bool is_number_like(std::string_view host) {
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (last.starts_with("0x") || last.starts_with("0X")) return true;
  return last.find_first_not_of("0123456789") == std::string_view::npos;
}

/// First IPv4 address of a name, else its first IPv6 address.
std::optional<IpAddress> look_up(const std::string& host) {
  if (is_number_like(host)) return std::nullopt;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  std::optional<IpAddress> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET) {
      sockaddr_in address{};
      std::memcpy(&address, entry->ai_addr, sizeof address);
      std::array<std::uint8_t, 4> bytes{};
      std::memcpy(bytes.data(), &address.sin_addr, bytes.size());
      return IpAddress::v4(bytes);
    }
    if (entry->ai_family == AF_INET6 && !found) {
      sockaddr_in6 address{};
      std::memcpy(&address, entry->ai_addr, sizeof address);
      std::array<std::uint8_t, 16> bytes{};
      std::memcpy(bytes.data(), &address.sin6_addr, bytes.size());
      found = IpAddress::v6(bytes);
    }
  }
  return found;
}

bool unspecified(const IpAddress& address) {
  for (const auto byte : address.bytes())
    if (byte != 0) return false;
  return true;
}

}  // namespace

Result<HostAndPort> split_host_port(std::string_view text) {
  constexpr const char* kMissingPort = "missing port in address";
  constexpr const char* kTooManyColons = "too many colons in address";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad_address(text, kMissingPort);
  std::string_view host = text.substr(0, colon);
  std::string_view behind_open = text;
  std::string_view behind_close = text;
  if (text[0] == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return bad_address(text, "missing ']' in address");
    if (close + 1 == text.size()) return bad_address(text, kMissingPort);
    if (close + 1 != colon)
      return bad_address(text, text[close + 1] == ':' ? kTooManyColons : kMissingPort);
    host = text.substr(1, close - 1);
    behind_open = text.substr(1);
    behind_close = text.substr(close + 1);
  } else if (host.find(':') != std::string_view::npos) {
    return bad_address(text, kTooManyColons);
  }
  if (behind_open.find('[') != std::string_view::npos)
    return bad_address(text, "unexpected '[' in address");
  if (behind_close.find(']') != std::string_view::npos)
    return bad_address(text, "unexpected ']' in address");
  return HostAndPort{std::string(host), std::string(text.substr(colon + 1))};
}

Result<std::uint16_t> parse_port(const std::string& text, Transport transport) {
  std::int64_t number = 0;
  if (read_number(text, number)) {
    if (number < 0 || number > 65535) return bad_address(text, "invalid port");
    return static_cast<std::uint16_t>(number);
  }
  const servent* service = ::getservbyname(text.c_str(), name_of(transport));
  if (service == nullptr)
    return fail(std::string("lookup ") + name_of(transport) + "/" + text + ": unknown port");
  return ntohs(static_cast<std::uint16_t>(service->s_port));
}

Result<ListenAddress> resolve_listen_address(const std::string& text, Transport transport) {
  const std::string prefix = std::string("listen ") + name_of(transport) + ": ";
  const auto parts = split_host_port(text);
  if (!parts) return fail(prefix + parts.error().text);
  const auto port = parse_port(parts->port, transport);
  if (!port) return fail(prefix + port.error().text);

  ListenAddress out;
  out.port = *port;
  if (parts->host.empty()) {
    out.text = ":" + std::to_string(out.port);
    return out;
  }
  const std::size_t percent = parts->host.find('%');
  const std::string plain = parts->host.substr(0, percent);
  auto address = IpAddress::parse(plain);
  if (address && percent != std::string::npos) {
    const std::string zone = parts->host.substr(percent + 1);
    out.scope = ::if_nametoindex(zone.c_str());
    if (address->is_v4() || out.scope == 0) address.reset();
  }
  if (!address && percent == std::string::npos) address = look_up(parts->host);
  if (!address) return fail(prefix + "lookup " + parts->host + ": no such host");
  out.text = address->text_with_port(out.port);
  if (!unspecified(*address)) out.address = address;
  return out;
}

}  // namespace iron::policy
