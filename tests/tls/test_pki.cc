#include "tests/tls/test_pki.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <sstream>
#include <stdexcept>

namespace iron::tls::test {
namespace {

using BioPtr = SslPtr<BIO, BIO_free>;
constexpr std::int64_t kDay = 24 * 3600;

std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  return std::string(bytes, static_cast<std::size_t>(size));
}

/// Of 2048 bits, for any digest.
EVP_PKEY* make_rsa_pss() {
  const SslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA-PSS", nullptr));
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_keygen_init(context.get()) != 1 || EVP_PKEY_generate(context.get(), &key) != 1)
    throw std::runtime_error("no RSA-PSS key");
  return key;
}

EVP_PKEY* make_key(KeyKind kind) {
  switch (kind) {
    case KeyKind::rsa:
      return EVP_RSA_gen(2048);
    case KeyKind::rsa_pss:
      return make_rsa_pss();
    case KeyKind::p256:
      return EVP_EC_gen("P-256");
    case KeyKind::p384:
      return EVP_EC_gen("P-384");
    case KeyKind::p521:
      return EVP_EC_gen("P-521");
    case KeyKind::p224:
      return EVP_EC_gen("P-224");
    case KeyKind::secp256k1:
      return EVP_EC_gen("secp256k1");
    case KeyKind::ed25519:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    case KeyKind::ed448:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448");
    case KeyKind::sm2:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "SM2");
    case KeyKind::x25519:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519");
  }
  return nullptr;
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension) throw std::runtime_error("bad extension: " + value);
  X509_add_ext(certificate, extension.get(), -1);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = std::filesystem::temp_directory_path() / "iron-tls-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(const std::string& name, const std::string& text) const {
  std::ofstream(file(name), std::ios::binary) << text;
  return file(name);
}

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

EVP_PKEY* key_of(KeyKind kind) {
  static std::map<KeyKind, KeyPtr> keys;
  KeyPtr& key = keys[kind];
  if (!key) key.reset(make_key(kind));
  return key.get();
}

CertificatePtr make_certificate(const CertificateSpec& spec, X509* issuer, KeyKind issuer_key) {
  CertificatePtr certificate(X509_new());
  X509* made = certificate.get();
  static long serial = 1000;
  X509_set_version(made, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
  const auto* name = reinterpret_cast<const unsigned char*>(spec.common_name.c_str());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8, name, -1, -1, 0);
  X509_set_issuer_name(made, X509_get_subject_name(issuer != nullptr ? issuer : made));
  const std::int64_t now = std::time(nullptr);
  ASN1_TIME_set(X509_getm_notBefore(made), spec.not_before != 0 ? spec.not_before : now - kDay);
  ASN1_TIME_set(X509_getm_notAfter(made), spec.not_after != 0 ? spec.not_after : now + 3650 * kDay);
  X509_set_pubkey(made, key_of(spec.key));
  X509* above = issuer != nullptr ? issuer : made;
  extend(made, above, NID_basic_constraints, spec.basic_constraints);
  extend(made, above, NID_key_usage, spec.key_usage);
  extend(made, above, NID_ext_key_usage, spec.extended_key_usage);
  if (spec.subject_key_identifier) extend(made, above, NID_subject_key_identifier, "hash");
  const bool issuer_is_named = issuer != nullptr && X509_get0_subject_key_id(issuer) != nullptr;
  if (issuer_is_named) extend(made, above, NID_authority_key_identifier, "keyid");
  extend(made, above, NID_subject_alt_name, spec.subject_alternative_name);
  EVP_PKEY* signing = key_of(issuer != nullptr ? issuer_key : spec.key);
  const int type = EVP_PKEY_get_base_id(signing);
  const bool own_digest = type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448;
  if (X509_sign(made, signing, own_digest ? nullptr : EVP_sha256()) <= 0) {
    throw std::runtime_error("cannot sign " + spec.common_name);
  }
  return certificate;
}

std::string pem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

std::string pem(EVP_PKEY* key, KeyForm form) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (form == KeyForm::pkcs8) {
    PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  } else {
    PEM_write_bio_PrivateKey_traditional(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  }
  return text_of(bio.get());
}

LeafOptions write_pair(const TemporaryDirectory& directory, X509* certificate, KeyKind key) {
  LeafOptions options;
  options.ca_cert = directory.write("ca.crt", pem(certificate));
  options.ca_key = directory.write("ca.key", pem(key_of(key)));
  return options;
}

std::vector<CertificatePtr> presented_by(const Leaf& leaf) {
  const SslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_server_method()));
  const SslPtr<SSL, SSL_free> ssl(SSL_new(context.get()));
  std::vector<CertificatePtr> result;
  if (!leaf.use_on(ssl.get())) return result;
  const auto keep = [&](X509* certificate) {
    X509_up_ref(certificate);
    result.emplace_back(certificate);
  };
  keep(SSL_get_certificate(ssl.get()));
  STACK_OF(X509)* chain = nullptr;
  SSL_get0_chain_certs(ssl.get(), &chain);
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) keep(sk_X509_value(chain, i));
  return result;
}

int verify(const std::vector<CertificatePtr>& chain,
           X509* root,
           const std::string& host,
           std::int64_t now) {
  const SslPtr<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), root);
  STACK_OF(X509)* others = sk_X509_new_null();
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(others, chain[i].get());
  const SslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain.at(0).get(), others);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
  if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), 0);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  }
  if (now != 0) X509_VERIFY_PARAM_set_time(parameters, now);
  const int good = X509_verify_cert(context.get());
  const int code = X509_STORE_CTX_get_error(context.get());
  sk_X509_free(others);
  return good == 1 ? X509_V_OK : code;
}

std::vector<std::string> extension_names(const X509* certificate) {
  std::vector<std::string> names;
  for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
    X509_EXTENSION* extension = X509_get_ext(certificate, i);
    std::string name = OBJ_nid2sn(OBJ_obj2nid(X509_EXTENSION_get_object(extension)));
    if (X509_EXTENSION_get_critical(extension) != 0) name += " critical";
    names.push_back(name);
  }
  return names;
}

std::optional<std::string> extension_text(const X509* certificate, int nid) {
  const int at = X509_get_ext_by_NID(certificate, nid, -1);
  if (at < 0) return std::nullopt;
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509V3_EXT_print(bio.get(), X509_get_ext(certificate, at), 0, 0);
  std::string text = text_of(bio.get());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Result<LeafStore::LeafPtr> request_and_wait(LeafStore& store, const std::string& name) {
  auto promise = std::make_shared<std::promise<Result<LeafStore::LeafPtr>>>();
  store.request(
      name, [promise](Result<LeafStore::LeafPtr> leaf) { promise->set_value(std::move(leaf)); });
  return promise->get_future().get();
}

}  // namespace iron::tls::test
