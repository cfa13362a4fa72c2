#include "tests/proxy/rig_authority.h"

#include <stdlib.h>

#include <future>
#include <stdexcept>

namespace iron::proxy::test {
namespace {

using tls::test::CertificateSpec;
using tls::test::KeyKind;

/// A server whose certificate `ca` has signed with its key of that kind.
SSL_CTX* serving(X509* ca, KeyKind kind) {
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  CertificateSpec spec;
  spec.common_name = "origin";
  spec.basic_constraints = "critical,CA:FALSE";
  spec.key_usage = "critical,digitalSignature";
  spec.extended_key_usage = "serverAuth";
  spec.subject_alternative_name = "IP:127.0.0.1,DNS:origin.test";
  const tls::CertificatePtr certificate = tls::test::make_certificate(spec, ca, kind);
  SSL_CTX_use_certificate(context, certificate.get());
  SSL_CTX_use_PrivateKey(context, tls::test::key_of(spec.key));
  return context;
}

}  // namespace

RigAuthority& RigAuthority::get() {
  static RigAuthority authority;
  return authority;
}

RigAuthority::RigAuthority() : ca_(tls::test::make_certificate({})) {
  const tls::LeafOptions pair = tls::test::write_pair(directory_, ca_.get(), KeyKind::p256);
  leaves_ = std::make_shared<tls::LeafStore>(pair);
  // Its signer is ready from then on.
  if (!tls::test::request_and_wait(*leaves_, "first.test")) throw std::runtime_error("no leaf");
  server_ = std::make_shared<const tls::ServerContext>();
  client_.reset(SSL_CTX_new(TLS_client_method()));
  X509_STORE_add_cert(SSL_CTX_get_cert_store(client_.get()), ca_.get());
  SSL_CTX_set_verify(client_.get(), SSL_VERIFY_PEER, nullptr);
  origin_.reset(serving(ca_.get(), KeyKind::p256));
  CertificateSpec strange;
  strange.common_name = "Strange CA";
  strange.key = KeyKind::p384;
  strange_.reset(serving(tls::test::make_certificate(strange).get(), strange.key));
  ::setenv("SSL_CERT_FILE", pair.ca_cert.c_str(), 1);
  ::setenv("SSL_CERT_DIR", directory_.file("none").c_str(), 1);
}

std::string RigAuthority::client_hello(const std::string& name) const {
  const tls::SslPtr<SSL, SSL_free> client(SSL_new(client_.get()));
  BIO* const sent = BIO_new(BIO_s_mem());
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), sent);
  SSL_set_tlsext_host_name(client.get(), name.c_str());
  SSL_connect(client.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(sent, &bytes);
  return std::string(bytes, static_cast<std::size_t>(size));
}

void RigAuthority::load_trust(Services& services) const {
  const auto loaded = std::make_shared<std::promise<void>>();
  services.upstream_tls.load([loaded] { loaded->set_value(); });
  loaded->get_future().wait();
}

}  // namespace iron::proxy::test
