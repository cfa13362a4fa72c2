#include "tls/call_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <new>
#include <utility>

#include "tls/ssl_ptr.h"
#include "tls/trust.h"

namespace iron::tls {
namespace {

using BioPtr = SslPtr<BIO, BIO_free>;

BioPtr reader_of(std::string_view pem) {
  // OpenSSL takes no null, which the bytes of an empty file are.
  BioPtr input(BIO_new_mem_buf(pem.empty() ? "" : pem.data(), static_cast<int>(pem.size())));
  if (!input) throw std::bad_alloc();
  return input;
}

/// OpenSSL would ask at the terminal for the password of a key.
int no_password(char*, int, int, void*) { return 0; }

TrustStorePtr store_for(const CallTls& wanted, const UpstreamContext& usual) {
  X509_STORE* there = SSL_CTX_get_cert_store(usual.get());
  if (wanted.anchors) {
    return make_trust_store(*wanted.anchors, wanted.anchors_add ? there : nullptr);
  }
  X509_STORE_up_ref(there);
  return TrustStorePtr(there);
}

bool show_certificate(SSL_CTX* context, const CallTls& wanted) {
  const BioPtr certificates = reader_of(*wanted.certificate);
  const CertificatePtr leaf(PEM_read_bio_X509(certificates.get(), nullptr, no_password, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) return false;
  while (X509* issuer = PEM_read_bio_X509(certificates.get(), nullptr, no_password, nullptr)) {
    if (SSL_CTX_add_extra_chain_cert(context, issuer) != 1) {
      X509_free(issuer);
      return false;
    }
  }
  const BioPtr keys = reader_of(wanted.key);
  const KeyPtr key(PEM_read_bio_PrivateKey(keys.get(), nullptr, no_password, nullptr));
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
}

}  // namespace

Result<std::unique_ptr<UpstreamContext>> make_call_context(const CallTls& wanted,
                                                           const UpstreamContext& usual) {
  TrustStorePtr store = store_for(wanted, usual);
  if (!store) return fail("tls: the trust anchors hold no certificate");
  auto context = std::make_unique<UpstreamContext>(std::move(store));
  SSL_CTX_set_session_cache_mode(context->get(), SSL_SESS_CACHE_OFF);
  if (!wanted.verifies) SSL_CTX_set_verify(context->get(), SSL_VERIFY_NONE, nullptr);
  const bool shown = !wanted.certificate || show_certificate(context->get(), wanted);
  ERR_clear_error();
  if (!shown) return fail("tls: the client certificate and its key cannot be used");
  return context;
}

}  // namespace iron::tls
