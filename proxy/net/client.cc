#include "proxy/net/client.h"

namespace iron::proxy {

Client::Client(Recorder& recorder, const Connection& connection, Entry entry, const Peer& peer)
    : recorder_(recorder),
      connection_(connection),
      entry_(entry),
      peer_(peer),
      remote_address_(peer.address.text_with_port(peer.port)),
      recorded_(recorder.batch()) {}

ClientFacts Client::facts() const {
  ClientFacts facts;
  facts.remote_address = remote_address_;
  facts.over_tls = over_tls();
  if (facts.over_tls) {
    facts.sni = connection_.stream().sni();
    facts.server_name = connection_.stream().server_name();
  }
  if (tunnel_ != nullptr) facts.tunnel = &tunnel_->authority;
  return facts;
}

std::optional<Record::Tls> Client::tls_info() const {
  const SSL* const ssl = connection_.stream().ssl();
  if (ssl == nullptr) return std::nullopt;
  Record::Tls info;
  info.version = SSL_version(ssl) >= TLS1_3_VERSION ? "1.3" : "1.2";
  info.resumed = SSL_session_reused(ssl) == 1;
  return info;
}

Arrival Client::arrival() {
  return {.recorded = recorded_,
          .address = peer_.address,
          .remote_addr = remote_address_,
          .sni = over_tls() ? std::string_view(connection_.stream().sni()) : std::string_view(),
          .tls = tls_info(),
          .tunnel = tunnel_ ? std::string_view(tunnel_->rendered) : std::string_view()};
}

void Client::record_refusal(const Refusal& refusal) {
  Refusal named = refusal;
  if (named.host.empty() && tunnel_ != nullptr) named.host = tunnel_->target;
  recorder_.refusal(arrival(), named);
}

}  // namespace iron::proxy
