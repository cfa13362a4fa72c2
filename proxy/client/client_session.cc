#include "proxy/client/client_session.h"

#include "proxy/client/http_session.h"
#include "proxy/client/passthrough.h"
#include "proxy/client/socks5.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"

namespace iron::proxy {
namespace {
constexpr char kSocks5 = 5;
}  // namespace

ClientSession::ClientSession(Site& site, int descriptor, Entry entry, const Peer& peer)
    : site_(site),
      client_({site.loop(), site.buffers(), site.services().body_budget, site.recorder(),
               site.services().released},
              descriptor,
              entry,
              peer) {
  client_.set_stall_timeout(site.snapshot()->config.proxy.limits.stall_timeout);
}

ClientSession::~ClientSession() {
  site_.services().gate.leave(client_.peer().address);
  site_.session_ended();
}

void ClientSession::launch(Site& site, BoundSocket socket, Entry entry, const Peer& peer) {
  Log& log = site.log();
  try {
    std::unique_ptr<ClientSession> session = make(site, std::move(socket), entry, peer);
    start(own_and_run(std::move(session)),
          [&log](std::exception_ptr failure) { log.session_failed(failure); });
  } catch (const std::exception&) {
    log.session_failed(std::current_exception());
  }
}

/// Whatever happens, the place at the gate has an owner or is given back.
std::unique_ptr<ClientSession> ClientSession::make(Site& site,
                                                   BoundSocket socket,
                                                   Entry entry,
                                                   const Peer& peer) {
  try {
    // The memory is there before release() is called (C++17).
    std::unique_ptr<ClientSession> session(new ClientSession(site, socket.release(), entry, peer));
    site.session_started();
    return session;
  } catch (const std::exception&) {
    site.services().gate.leave(peer.address);
    throw;
  }
}

Task<void> ClientSession::own_and_run(std::unique_ptr<ClientSession> session) {
  co_await session->run();
  co_await session->client_.recorded();  // the end of the connection tells, too
}

/// Flat on purpose: while a tunnel idles, the frames below this one are those of serve_http alone.
Task<void> ClientSession::run() {
  client_.pause().yield_to_drain(true);
  bool http = co_await begin();
  while (http) {
    const bool tunnel_opened = co_await serve_http(*this);
    if (!tunnel_opened) break;
    http = co_await enter_tunnel();
  }
  report_unused_tunnel();
  if (client_.broke()) note_distrust();
  co_await client_.finish(site_.services().closes);
}

/// What comes before the first HTTP request on this listener. True: HTTP is next.
Task<bool> ClientSession::begin() {
  if (client_.entry() == Entry::http) co_return true;
  const std::shared_ptr<const Snapshot> snapshot = site_.snapshot();
  const bool arrived =
      co_await client_.await_bytes(snapshot->config.proxy.limits.first_byte_timeout);
  if (!arrived) co_return false;
  if (site_.log().full()) {
    const bool go_on = co_await await_log(*this);
    if (!go_on) co_return false;
  }
  if (client_.entry() == Entry::https) {
    if (!snapshot->config.tls.sni_only()) {
      const bool passed = co_await pass_through_by_name(*this);
      if (passed) co_return false;
      const bool secured = co_await handshake(Place::listener);
      co_return secured;
    }
    co_await pass_through(*this);
    co_return false;
  }
  if (client_.input().view().front() != kSocks5) co_return true;
  const bool opened = co_await serve_socks5(*this);
  if (!opened) co_return false;
  const bool http = co_await enter_tunnel();
  co_return http;
}

Task<bool> ClientSession::handshake(Place place) {
  const std::shared_ptr<const Snapshot> snapshot = site_.snapshot();
  const char first = client_.input().view().front();
  if (place == Place::listener && first >= 'A' && first <= 'Z') {
    // Plain HTTP on this port gets a hint in the clear; everything else is left to the handshake.
    co_await client_.send(
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    log_handshake_failure(place, "client sent an HTTP request to an HTTPS server");
    client_.close_gently();
    co_return false;
  }
  client_.stream().unread(client_.input().view());
  client_.input().release();
  client_.stream().start_server(
      *snapshot->server_tls, *snapshot->leaves,
      place == Place::tunnel ? client_.tunnel()->authority.host : std::string());
  client_.connection().expect_bytes();
  client_.pause().set_timeout(snapshot->config.proxy.limits.handshake_timeout);
  const Io done =
      co_await finish_handshake(client_.connection(), client_.pause(), snapshot->leaves.get());
  if (done != Io::ok) {
    const bool late = client_.pause().expired();
    log_handshake_failure(place, late ? "handshake timeout" : client_.stream().handshake_error());
    if (late || !client_.pause().given_up()) note_distrust();
    co_return false;
  }
  client_.pause().clear_deadline();
  co_return true;
}

void ClientSession::log_handshake_failure(Place place, const std::string& error) {
  Log& log = site_.log();
  if (!log.enabled(Level::debug)) return;
  if (place == Place::tunnel) {
    const std::string text = "TLS handshake for " + client_.tunnel()->target + ": " + error;
    log.write(Level::debug, "tunnel connect error", {{"error", text}});
  } else {
    log.write(Level::debug, "tls handshake error",
              {{"remote_addr", client_.remote_address()}, {"error", error}});
  }
}

void ClientSession::note_distrust() {
  const std::optional<std::string> alert = client_.stream().objection();
  if (!alert) return;
  Services& services = site_.services();
  const std::string& host = client_.stream().server_name();
  if (!services.distrust.admit(client_.peer().address, host, site_.loop().now())) return;
  services.log.write(
      Level::warn, "client does not trust the proxy CA",
      {{"host", host}, {"remote_addr", client_.remote_address()}, {"alert", *alert}});
}

}  // namespace iron::proxy
