#include "proxy/client/tunnel.h"

#include "proxy/client/client_session.h"
#include "proxy/client/passthrough.h"
#include "proxy/exchange/site.h"
#include "proxy/http/answers.h"

namespace iron::proxy {
namespace {

constexpr char kTlsRecord = 0x16;
constexpr std::string_view kSsh = "SSH-";  // RFC 4253 section 4.2

}  // namespace

TunnelProtocol tunnel_protocol(std::string_view first_bytes) {
  if (first_bytes.empty()) return TunnelProtocol::undecided;
  const char first = first_bytes.front();
  if (first == kTlsRecord) return TunnelProtocol::tls;
  if (first < 'A' || first > 'Z' || first_bytes.starts_with(kSsh)) return TunnelProtocol::unknown;
  return kSsh.starts_with(first_bytes) ? TunnelProtocol::undecided : TunnelProtocol::http;
}

/// The first bytes inside a tunnel decide. True: HTTP is next, in the clear or under TLS.
Task<bool> ClientSession::enter_tunnel() {
  if (client_.tunnel()->passes_through) {
    co_await pass_tunnel_through(*this);
    co_return false;
  }
  const std::shared_ptr<const Snapshot> snapshot = site_.snapshot();
  const bool arrived =
      co_await client_.await_bytes(snapshot->config.proxy.limits.first_byte_timeout);
  if (!arrived) {
    site_.log().write(Level::debug, "tunnel peek error", {{"error", std::string_view("EOF")}});
    co_return false;
  }
  const TunnelProtocol protocol = co_await detect_protocol();
  if (protocol == TunnelProtocol::http) co_return true;
  if (protocol == TunnelProtocol::undecided) co_return false;
  if (protocol == TunnelProtocol::unknown) {
    refuse_protocol();
    co_return false;
  }
  if (!snapshot->config.tls.sni_only()) {
    const bool secured = co_await handshake(Place::tunnel);
    co_return secured;
  }
  co_await pass_through(*this);
  co_return false;
}

/// Reads on where the first bytes leave it open. What ends there is an unfinished request;
/// undecided: its time is over, or the drain has begun.
Task<TunnelProtocol> ClientSession::detect_protocol() {
  TunnelProtocol protocol = tunnel_protocol(client_.input().view());
  if (protocol != TunnelProtocol::undecided) co_return protocol;
  client_.pause().set_timeout(site_.snapshot()->config.proxy.limits.request_head_timeout);
  while (protocol == TunnelProtocol::undecided) {
    const Io read = co_await client_.read_more(BufferPool::kSmall);
    if (client_.pause().expired()) {
      client_.note_request();
      Refusal refusal;
      refusal.error = kMalformedRequest;
      client_.record_refusal(refusal);
      co_return TunnelProtocol::undecided;
    }
    if (read != Io::ok) {
      if (client_.pause().given_up()) co_return TunnelProtocol::undecided;
      protocol = TunnelProtocol::http;
    } else {
      protocol = tunnel_protocol(client_.input().view());
    }
  }
  client_.pause().clear_deadline();
  co_return protocol;
}

/// No answer would be understood: the end of the connection is all that the client is told.
void ClientSession::refuse_protocol() {
  client_.note_request();
  Log& log = site_.log();
  if (log.enabled(Level::debug)) {
    static constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(client_.input().view().front());
    const std::string text = std::string("unsupported protocol (first byte 0x") + kHex[byte >> 4] +
                             kHex[byte & 15] + ") for target " + client_.tunnel()->target;
    log.write(Level::debug, "tunnel connect error", {{"error", text}});
  }
  Refusal refusal;
  refusal.error = "unknown protocol in tunnel";
  client_.record_refusal(refusal);
  client_.close_gently();
}

/// A tunnel that was opened for nothing: a client that gave up, or one that waits for the server to
/// speak first.
void ClientSession::report_unused_tunnel() {
  if (client_.tunnel() == nullptr || client_.tunnel()->used || site_.loop().draining() ||
      site_.loop().cut())
    return;
  const SteadyTime now = site_.loop().now();
  if (!site_.services().unused_tunnels.admit(now)) return;
  site_.log().write(Level::info, "tunnel closed without a request",
                    {{"host", client_.tunnel()->target},
                     {"remote_addr", client_.remote_address()},
                     {"duration_ms", now - client_.tunnel()->opened}});
}

}  // namespace iron::proxy
