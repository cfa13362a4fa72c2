#include "tests/proxy/peer_stream.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "tests/proxy/rig_authority.h"

namespace iron::proxy::test {

namespace ssl = boost::asio::ssl;

struct PeerStream::Tls {
  Tls(RigStream& raw, SSL_CTX* shared) : context(own(shared)), stream(raw, context) {}

  /// Asio's context frees what it holds.
  static SSL_CTX* own(SSL_CTX* shared) {
    SSL_CTX_up_ref(shared);
    return shared;
  }

  ssl::context context;
  ssl::stream<RigStream&> stream;
};

PeerStream::PeerStream(SessionRig& rig, ScriptedPeer& peer) : raw_(rig, peer) {}
PeerStream::~PeerStream() = default;

void PeerStream::secure_as_client(const std::string& host) {
  tls_ = std::make_unique<Tls>(raw_, RigAuthority::get().client_context());
  SSL* const handle = tls_->stream.native_handle();
  in_addr address{};
  if (::inet_pton(AF_INET, host.c_str(), &address) == 1) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle), host.c_str());
  } else {
    SSL_set_tlsext_host_name(handle, host.c_str());
    SSL_set1_host(handle, host.c_str());
  }
  tls_->stream.handshake(ssl::stream_base::client);
}

bool PeerStream::secure_as_origin(bool strange, error_code& error) {
  RigAuthority& authority = RigAuthority::get();
  if (tls_ == nullptr) {
    tls_ = std::make_unique<Tls>(
        raw_, strange ? authority.strange_context() : authority.origin_context());
  }
  raw_.set_waiting(false);
  tls_->stream.handshake(ssl::stream_base::server, error);
  raw_.set_waiting(true);
  if (error == boost::asio::error::would_block) {
    error = {};
    return false;
  }
  return !error;
}

std::size_t PeerStream::read(std::span<char> into, error_code& error) {
  if (!unread_.empty()) {
    error = {};
    const std::size_t size = std::min(into.size(), unread_.size());
    std::copy_n(unread_.data(), size, into.data());
    unread_.erase(0, size);
    return size;
  }
  if (tls_ == nullptr) return raw_.read(into, error);
  return tls_->stream.read_some(boost::asio::buffer(into.data(), into.size()), error);
}

std::size_t PeerStream::write(std::span<const char> bytes, error_code& error) {
  if (tls_ == nullptr) return raw_.write(bytes, error);
  return tls_->stream.write_some(boost::asio::buffer(bytes.data(), bytes.size()), error);
}

void PeerStream::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    bytes.remove_prefix(write_some(boost::asio::buffer(bytes.data(), bytes.size())));
  }
}

void PeerStream::finish_tls() {
  raw_.set_waiting(false);
  error_code ignored;
  tls_->stream.shutdown(ignored);
  raw_.set_waiting(true);
}

void PeerStream::finish() {
  if (tls_ != nullptr) finish_tls();
  raw_.peer().finish();
}

std::string PeerStream::read_end(std::string* rest) {
  std::array<char, 16384> bytes;
  while (true) {
    error_code error;
    const std::size_t size = read(bytes, error);
    if (rest != nullptr) rest->append(bytes.data(), size);
    if (!error) continue;
    if (error == boost::asio::error::eof) return tls_ != nullptr ? "close_notify" : "end";
    if (error == ssl::error::stream_truncated) return "end";
    if (error == boost::asio::error::connection_reset) return "reset";
    return error == boost::asio::error::timed_out ? "open" : error.message();
  }
}

std::string PeerStream::tls_version() const {
  return SSL_get_version(tls_->stream.native_handle());
}

void teardown(boost::beast::role_type, PeerStream& stream, boost::system::error_code& error) {
  stream.finish();
  error = {};
}

}  // namespace iron::proxy::test
