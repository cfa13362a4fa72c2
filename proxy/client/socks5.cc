#include "proxy/client/socks5.h"

#include <array>
#include <cstring>

#include "proxy/client/connect.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"

namespace iron::proxy {
namespace {

constexpr std::uint8_t kVersion = 5, kNotAllowed = 2, kCommandUnsupported = 7, kTypeUnsupported = 8;
constexpr std::uint8_t kTypeV4 = 1, kTypeName = 3, kTypeV6 = 4;

std::uint8_t byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<std::uint8_t>(bytes[index]);
}

}  // namespace

SocksGreeting parse_socks_greeting(std::string_view bytes) {
  using State = SocksGreeting::State;
  if (!bytes.empty() && byte_at(bytes, 0) != kVersion) return {State::malformed, 0};
  if (bytes.size() < 2) return {State::incomplete, 0};
  const std::size_t size = 2 + std::size_t{byte_at(bytes, 1)};
  if (bytes.size() < size) return {State::incomplete, 0};
  const bool offered = bytes.substr(2, size - 2).find('\0') != std::string_view::npos;
  return {offered ? State::accepted : State::no_method, size};
}

SocksRequest parse_socks_request(std::string_view bytes) {
  using State = SocksRequest::State;
  SocksRequest request;
  const auto with = [&request](State state) {
    request.state = state;
    return request;
  };
  if (!bytes.empty() && byte_at(bytes, 0) != kVersion) return with(State::malformed);
  if (bytes.size() < 4) return with(State::incomplete);
  if (byte_at(bytes, 1) != 1) return with(State::bad_command);
  const std::uint8_t type = byte_at(bytes, 3);
  std::size_t address_size = 0, address_at = 4;
  if (type == kTypeV4) {
    address_size = 4;
  } else if (type == kTypeV6) {
    address_size = 16;
  } else if (type == kTypeName) {
    if (bytes.size() < 5) return with(State::incomplete);
    address_size = byte_at(bytes, 4);
    address_at = 5;
  } else {
    return with(State::bad_address_type);
  }
  if (bytes.size() < address_at + address_size + 2) return with(State::incomplete);
  const std::string_view address = bytes.substr(address_at, address_size);
  if (type == kTypeName) {
    request.host = address;
  } else if (type == kTypeV4) {
    std::array<std::uint8_t, 4> raw{};
    std::memcpy(raw.data(), address.data(), 4);
    request.host = policy::IpAddress::v4(raw).text();
  } else {
    std::array<std::uint8_t, 16> raw{};
    std::memcpy(raw.data(), address.data(), 16);
    const policy::IpAddress parsed = policy::IpAddress::v6(raw);
    request.host = parsed.text();
    request.is_ipv6 = !parsed.is_v4();
  }
  const std::size_t port_at = address_at + address_size;
  request.port =
      static_cast<std::uint16_t>(byte_at(bytes, port_at) << 8 | byte_at(bytes, port_at + 1));
  request.consumed = port_at + 2;
  return with(State::accepted);
}

std::string socks_reply(std::uint8_t code) {
  std::string reply("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10);
  reply[1] = static_cast<char>(code);
  return reply;
}

namespace {

void log_error(ClientSession& session, std::string_view error) {
  session.site().log().write(Level::debug, "tunnel socks5 error", {{"error", error}});
}

Task<bool> greet(ClientSession& session) {
  while (true) {
    const SocksGreeting greeting = parse_socks_greeting(session.client().input().view());
    if (greeting.state == SocksGreeting::State::accepted) {
      session.client().input().consume(greeting.consumed);
      const bool sent = co_await session.client().send(std::string_view("\x05\x00", 2));
      co_return sent;
    }
    if (greeting.state == SocksGreeting::State::no_method) {
      log_error(session, "no acceptable authentication method");
      const bool sent = co_await session.client().send("\x05\xff");
      if (sent) session.client().close_gently();
      co_return false;
    }
    Io read = Io::error;
    if (greeting.state == SocksGreeting::State::incomplete) {
      read = co_await session.client().read_more(BufferPool::kSmall);
    }
    if (read != Io::ok) {
      log_error(session, "greeting is not complete");
      co_return false;
    }
  }
}

Task<void> refuse(ClientSession& session, std::uint8_t code, std::string_view error) {
  log_error(session, error);
  const std::string reply = socks_reply(code);
  const bool sent = co_await session.client().send(reply);
  if (sent) session.client().close_gently();
}

Task<bool> open_target(ClientSession& session, const SocksRequest& request) {
  std::string target = request.is_ipv6 ? "[" + request.host + "]" : request.host;
  const std::string host_text = target;
  target += ":" + std::to_string(request.port);
  Log& log = session.site().log();
  if (log.enabled(Level::debug)) {
    log.write(Level::debug, "tunnel SOCKS5 CONNECT", {{"target", target}});
  }
  auto authority = policy::Authority::parse(host_text);
  if (!authority || request.port == 0) authority = policy::Authority{};
  authority->port = request.port;
  RequestStatePtr state = session.site().take_request_state();
  const TunnelVerdict verdict = co_await check_tunnel(session, state->exchange, *authority, target);
  state.reset();
  // A host that is no host is judged as the empty one. Nothing is dialled for the tunnel itself:
  // each request inside names its own host and is judged again.
  if (verdict.gone) co_return false;
  if (!verdict.allowed) {
    const std::string reply = socks_reply(kNotAllowed);
    const bool sent = co_await session.client().send(reply);
    if (sent) session.client().close_gently();
    co_return false;
  }
  const std::string reply = socks_reply(0);
  const bool sent = co_await session.client().send(reply);
  co_return sent;
}

}  // namespace

Task<bool> serve_socks5(ClientSession& session) {
  session.client().pause().set_timeout(
      session.site().snapshot()->config.proxy.limits.handshake_timeout);
  const bool greeted = co_await greet(session);
  if (!greeted) co_return false;
  session.client().pause().set_timeout(
      session.site().snapshot()->config.proxy.limits.handshake_timeout);
  bool opened = false;
  while (true) {
    const SocksRequest request = parse_socks_request(session.client().input().view());
    switch (request.state) {
      case SocksRequest::State::accepted:
        session.client().pause().clear_deadline();
        session.client().input().consume(request.consumed);
        opened = co_await open_target(session, request);
        co_return opened;
      case SocksRequest::State::bad_command:
        co_await refuse(session, kCommandUnsupported, "unsupported command");
        co_return false;
      case SocksRequest::State::bad_address_type:
        co_await refuse(session, kTypeUnsupported, "unsupported address type");
        co_return false;
      case SocksRequest::State::malformed:
        log_error(session, "unsupported version");
        co_return false;
      case SocksRequest::State::incomplete:
        break;
    }
    const Io read = co_await session.client().read_more(BufferPool::kSmall);
    if (read != Io::ok) {
      log_error(session, "request is not complete");
      co_return false;
    }
  }
}

}  // namespace iron::proxy
