#include "bench/loopback/leaves.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "bench/loopback/support.h"

namespace iron::bench {
namespace {

constexpr long kEarlier = 60, kLater = 72 * 3600;  // seconds of validity from now

std::FILE* open(const std::string& file) {
  std::FILE* const opened = std::fopen(file.c_str(), "r");
  if (opened == nullptr) fail(file);
  return opened;
}

void add_extension(X509* leaf, X509* ca, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, ca, leaf, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  X509_add_ext(leaf, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

Leaves::Leaves(const std::string& ca_file, const std::string& key_file)
    : key_(EVP_EC_gen("P-256")), chain_(sk_X509_new_null()), serial_(now()) {
  std::FILE* file = open(ca_file);
  ca_ = PEM_read_X509(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  file = open(key_file);
  ca_key_ = PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  if (ca_ == nullptr || ca_key_ == nullptr) fail(ca_file + " or " + key_file);
  sk_X509_push(chain_, ca_);
}

Leaves::~Leaves() {
  for (const auto& [host, leaf] : leaves_) X509_free(leaf);
  sk_X509_free(chain_);
  X509_free(ca_);
  EVP_PKEY_free(ca_key_);
  EVP_PKEY_free(key_);
}

X509* Leaves::find_or_make(const std::string& host) {
  X509*& leaf = leaves_[host];
  if (leaf != nullptr) return leaf;
  leaf = X509_new();
  X509_set_version(leaf, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(leaf), ++serial_);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(leaf), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(host.c_str()), -1, -1, 0);
  X509_set_issuer_name(leaf, X509_get_subject_name(ca_));
  X509_gmtime_adj(X509_getm_notBefore(leaf), -kEarlier);
  X509_gmtime_adj(X509_getm_notAfter(leaf), kLater);
  X509_set_pubkey(leaf, key_);
  add_extension(leaf, ca_, NID_key_usage, "critical,digitalSignature");
  add_extension(leaf, ca_, NID_ext_key_usage, "serverAuth");
  add_extension(leaf, ca_, NID_subject_alt_name, "DNS:" + host);
  X509_sign(leaf, ca_key_, EVP_sha256());
  return leaf;
}

int Leaves::use_for(SSL* tls) {
  const char* const host = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);
  if (host == nullptr) return 0;
  return SSL_use_cert_and_key(tls, find_or_make(host), key_, chain_, 1);
}

}  // namespace iron::bench
