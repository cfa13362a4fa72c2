#include "proxy/client/client_session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "proxy/client/http_session.h"
#include "proxy/client/passthrough.h"
#include "proxy/client/socks5.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/site.h"
#include "proxy/http1/body_reader.h"
#include "proxy/net/bound_socket.h"

namespace iron::proxy {
namespace {
constexpr auto kHalfCloseGrace = std::chrono::seconds(5);
constexpr char kSocks5 = 5;
}  // namespace

ClientSession::ClientSession(Site& site, int descriptor, Entry entry, const Peer& peer)
    : site_(site),
      pause_(site.loop()),
      client_(site.loop(), descriptor),
      entry_(entry),
      peer_(peer),
      remote_address_(peer.address.text_with_port(peer.port)),
      recorded_(site.recorder().batch()),
      input_share_(site.services().body_budget) {
  const int one = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  client_.set_pause(&pause_);
  pause_.set_long_sleep(this);
}

void ClientSession::on_long_sleep() {
  client_.stream().free_buffers();
  if (upstream_ != nullptr) upstream_->stream().free_buffers();
  own_upstreams_.free_buffers();
  site_.services().released.fetch_add(1, std::memory_order_relaxed);
}

ClientSession::~ClientSession() {
  site_.services().gate.leave(peer_.address);
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
  co_await session->recorded();  // the end of the connection tells, too
}

/// Flat on purpose: while a tunnel idles, the frames below this one are those of serve_http alone.
Task<void> ClientSession::run() {
  pause_.yield_to_drain(true);
  bool http = co_await begin();
  while (http) {
    const bool tunnel_opened = co_await serve_http(*this);
    if (!tunnel_opened) break;
    http = co_await enter_tunnel();
  }
  report_unused_tunnel();
  if (close_) co_await close_after_answer(*close_);
}

/// What comes before the first HTTP request on this listener. True: HTTP is next.
Task<bool> ClientSession::begin() {
  if (entry_ == Entry::http) co_return true;
  const std::shared_ptr<const Snapshot> snapshot = site_.snapshot();
  const bool arrived = co_await await_bytes(snapshot->config.proxy.limits.first_byte_timeout);
  if (!arrived) co_return false;
  if (site_.log().full()) {
    const bool go_on = co_await await_log(*this);
    if (!go_on) co_return false;
  }
  if (entry_ == Entry::https) {
    if (!snapshot->config.tls.sni_only()) {
      const bool passed = co_await pass_through_by_name(*this);
      if (passed) co_return false;
      const bool secured = co_await handshake(Place::listener);
      co_return secured;
    }
    co_await pass_through(*this);
    co_return false;
  }
  if (input_.view().front() != kSocks5) co_return true;
  const bool opened = co_await serve_socks5(*this);
  if (!opened) co_return false;
  const bool http = co_await enter_tunnel();
  co_return http;
}

Task<bool> ClientSession::handshake(Place place) {
  const std::shared_ptr<const Snapshot> snapshot = site_.snapshot();
  const char first = input_.view().front();
  if (place == Place::listener && first >= 'A' && first <= 'Z') {
    // Plain HTTP on this port gets a hint in the clear; everything else is left to the handshake.
    co_await send(
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    log_handshake_failure(place, "client sent an HTTP request to an HTTPS server");
    close_gently();
    co_return false;
  }
  client_.stream().unread(input_.view());
  input_.release();
  client_.stream().start_server(*snapshot->server_tls, *snapshot->leaves,
                                place == Place::tunnel ? tunnel_->authority.host : std::string());
  client_.expect_bytes();
  pause_.set_timeout(snapshot->config.proxy.limits.handshake_timeout);
  const Io done = co_await finish_handshake(client_, pause_, snapshot->leaves.get());
  if (done != Io::ok) {
    const bool late = pause_.expired();
    log_handshake_failure(place, late ? "handshake timeout" : client_.stream().handshake_error());
    if (late || !pause_.given_up()) note_distrust();
    co_return false;
  }
  pause_.clear_deadline();
  co_return true;
}

void ClientSession::log_handshake_failure(Place place, const std::string& error) {
  Log& log = site_.log();
  if (!log.enabled(Level::debug)) return;
  if (place == Place::tunnel) {
    const std::string text = "TLS handshake for " + tunnel_->target + ": " + error;
    log.write(Level::debug, "tunnel connect error", {{"error", text}});
  } else {
    log.write(Level::debug, "tls handshake error",
              {{"remote_addr", remote_address_}, {"error", error}});
  }
}

void ClientSession::note_distrust() {
  const std::optional<std::string> alert = client_.stream().objection();
  if (!alert) return;
  Services& services = site_.services();
  const std::string& host = client_.stream().server_name();
  if (!services.distrust.admit(peer_.address, host, site_.loop().now())) return;
  services.log.write(Level::warn, "client does not trust the proxy CA",
                     {{"host", host}, {"remote_addr", remote_address_}, {"alert", *alert}});
}

std::optional<Record::Tls> ClientSession::tls_info() {
  SSL* ssl = client_.stream().ssl();
  if (ssl == nullptr) return std::nullopt;
  Record::Tls info;
  info.version = SSL_version(ssl) >= TLS1_3_VERSION ? "1.3" : "1.2";
  info.resumed = SSL_session_reused(ssl) == 1;
  return info;
}

Task<bool> ClientSession::await_bytes(policy::Duration timeout) {
  if (!input_.empty()) co_return true;
  input_share_.reset();
  pause_.set_timeout(timeout);
  while (true) {
    if (client_.maybe_readable()) {
      if (!input_.held()) input_ = site_.buffers().take(BufferPool::kSmall);
      const IoResult result = client_.read(input_.space());
      if (result.status == Io::ok) {
        input_.fill(result.size);
        pause_.clear_deadline();
        co_return true;
      }
      if (result.status == Io::error) note_distrust();
      if (result.status == Io::eof || result.status == Io::error) co_return false;
    }
    input_.release();
    if (pause_.given_up()) co_return false;
    client_.arm_read();
    co_await pause_;
    if (pause_.given_up()) co_return false;
  }
}

Task<Io> ClientSession::read_more(std::size_t limit) {
  if (!input_.held()) input_ = site_.buffers().take(BufferPool::kSmall);
  if (input_.space().empty()) {
    if (input_.capacity() >= limit) co_return Io::error;
    const std::size_t grown = std::min(input_.capacity() * 4, limit);
    if (grown > BufferPool::kLarge && !input_share_.hold(static_cast<std::int64_t>(grown))) {
      co_return Io::error;
    }
    input_.grow(grown);
  }
  const IoResult result = co_await read_some(client_, pause_, input_.space());
  if (result.status == Io::ok) input_.fill(result.size);
  co_return result.status;
}

Task<bool> ClientSession::send(std::string_view bytes) {
  co_await recorded_;
  const policy::Duration stall = site_.snapshot()->config.proxy.limits.stall_timeout;
  const bool sent = co_await write_all(client_, pause_, bytes, stall);
  co_return sent;
}

/// The close of a session, once all that served its last request is gone.
Task<void> ClientSession::close_after_answer(CloseClock::After after) {
  co_await recorded_;
  input_.release();
  input_share_.reset();
  pause_.clear_deadline();
  pause_.yield_to_drain(false);
  co_await linger(client_, pause_, after, site_.services().closes);
}

ClientSession::ClientState ClientSession::poll_client() {
  while (client_state_ == ClientState::present && client_.maybe_readable()) {
    if (!input_.held()) input_ = site_.buffers().take(BufferPool::kSmall);
    if (input_.space().empty()) return client_state_;
    const IoResult result = client_.read(input_.space());
    if (result.status == Io::ok) {
      input_.fill(result.size);
    } else if (result.status == Io::eof && !over_tls() && has_whole_request()) {
      client_state_ = ClientState::half_closed;
      half_close_deadline_ = site_.loop().now() + kHalfCloseGrace;
    } else if (result.status == Io::eof || result.status == Io::error) {
      client_state_ = ClientState::gone;
    } else {
      break;
    }
  }
  if (client_state_ == ClientState::present) client_.arm_read();
  if (input_.held() && input_.empty()) input_.release();
  return client_state_;
}

bool ClientSession::has_whole_request() const {
  return request_complete_ || (body_ != nullptr && body_->completes_with(input_.view()));
}

bool ClientSession::abandoned() {
  const ClientState state = poll_client();
  if (state == ClientState::half_closed) {
    return site_.loop().now() >= half_close_deadline_;
  }
  return state == ClientState::gone;
}

Arrival ClientSession::arrival() {
  return {.recorded = recorded_,
          .address = peer_.address,
          .remote_addr = remote_address_,
          .sni = over_tls() ? std::string_view(client_.stream().sni()) : std::string_view(),
          .tls = tls_info(),
          .tunnel = tunnel_ ? std::string_view(tunnel_->rendered) : std::string_view()};
}

void ClientSession::record_refusal(const Refusal& refusal) {
  Refusal named = refusal;
  if (named.host.empty() && tunnel_ != nullptr) named.host = tunnel_->target;
  site_.recorder().refusal(arrival(), named);
}

}  // namespace iron::proxy
