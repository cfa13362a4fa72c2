#include "tls/extensions.h"

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace iron::tls {
namespace {

using Octets = SslPtr<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using Names = SslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;

constexpr std::size_t kKeyIdentifierSize = 20;
/// The first and the last second with a year of four digits (RFC 5280 section 4.1.2.5.2).
constexpr std::int64_t kFirstSecond = -62'167'219'200, kLastSecond = 253'402'300'799;

bool has_four_digit_year(std::int64_t seconds) {
  return kFirstSecond <= seconds && seconds <= kLastSecond;
}

Octets octets(std::span<const unsigned char> bytes) {
  Octets result(ASN1_OCTET_STRING_new());
  if (result &&
      ASN1_OCTET_STRING_set(result.get(), bytes.data(), static_cast<int>(bytes.size())) != 1) {
    result.reset();
  }
  return result;
}

/// An extension whose value is always the same DER.
ExtensionPtr fixed_extension(int nid, Critical critical, std::span<const unsigned char> der) {
  const Octets value = octets(der);
  if (!value) return nullptr;
  return ExtensionPtr(
      X509_EXTENSION_create_by_NID(nullptr, nid, critical == Critical::yes ? 1 : 0, value.get()));
}

/// Fills `name` with the address in `text`, if it is one.
bool set_address(GENERAL_NAME* name, const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  std::size_t size = 0;
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
    size = 4;
  } else if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    size = 16;
  } else {
    return false;
  }
  Octets address = octets({bytes.data(), size});
  if (!address) return false;
  GENERAL_NAME_set0_value(name, GEN_IPADD, address.release());
  return true;
}

bool set_dns_name(GENERAL_NAME* name, const std::string& text) {
  SslPtr<ASN1_IA5STRING, ASN1_IA5STRING_free> value(ASN1_IA5STRING_new());
  if (!value || ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())) != 1) {
    return false;
  }
  GENERAL_NAME_set0_value(name, GEN_DNS, value.release());
  return true;
}

/// X.680: what a PrintableString may hold, short of the blank at the ends that some parsers trim.
bool is_printable_string(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(" '()+,-./:=?").find(c) != std::string_view::npos;
  });
}

}  // namespace

ExtensionPtr key_usage_digital_signature() {
  static constexpr unsigned char kDer[] = {0x03, 0x02, 0x07, 0x80};
  return fixed_extension(NID_key_usage, Critical::yes, kDer);
}

ExtensionPtr key_usage_certificate_sign() {
  static constexpr unsigned char kDer[] = {0x03, 0x02, 0x02, 0x04};
  return fixed_extension(NID_key_usage, Critical::yes, kDer);
}

ExtensionPtr key_usage_certificate_and_crl_sign() {
  static constexpr unsigned char kDer[] = {0x03, 0x02, 0x01, 0x06};
  return fixed_extension(NID_key_usage, Critical::yes, kDer);
}

ExtensionPtr extended_key_usage_server_auth() {
  static constexpr unsigned char kDer[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06,
                                           0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
  return fixed_extension(NID_ext_key_usage, Critical::no, kDer);
}

ExtensionPtr basic_constraints_last_ca() {
  static constexpr unsigned char kDer[] = {0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00};
  return fixed_extension(NID_basic_constraints, Critical::yes, kDer);
}

ExtensionPtr subject_key_identifier(const X509* subject) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_pubkey_digest(subject, EVP_sha256(), digest.data(), &size) != 1) return nullptr;
  const Octets identifier = octets({digest.data(), kKeyIdentifierSize});
  if (!identifier) return nullptr;
  return ExtensionPtr(X509V3_EXT_i2d(NID_subject_key_identifier, 0, identifier.get()));
}

ExtensionPtr authority_key_identifier(const X509* issuer) {
  // The accessor fills a cache inside the object, hence its non-const parameter; it locks.
  const ASN1_OCTET_STRING* found = X509_get0_subject_key_id(const_cast<X509*>(issuer));
  const SslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free> identifier(AUTHORITY_KEYID_new());
  if (found == nullptr || !identifier) return nullptr;
  identifier->keyid = ASN1_OCTET_STRING_dup(found);
  if (identifier->keyid == nullptr) return nullptr;
  return ExtensionPtr(X509V3_EXT_i2d(NID_authority_key_identifier, 0, identifier.get()));
}

ExtensionPtr subject_alternative_name(const std::string& name, Critical critical) {
  const Names names(GENERAL_NAMES_new());
  SslPtr<GENERAL_NAME, GENERAL_NAME_free> entry(GENERAL_NAME_new());
  if (!names || !entry) return nullptr;
  if (!set_address(entry.get(), name) && !set_dns_name(entry.get(), name)) return nullptr;
  if (sk_GENERAL_NAME_push(names.get(), entry.get()) <= 0) return nullptr;
  static_cast<void>(entry.release());  // the list owns it now
  return ExtensionPtr(
      X509V3_EXT_i2d(NID_subject_alt_name, critical == Critical::yes ? 1 : 0, names.get()));
}

bool add_extension(X509* certificate, const ExtensionPtr& extension) {
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_common_name(X509_NAME* subject, const std::string& name) {
  const int type = is_printable_string(name) ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING;
  return X509_NAME_add_entry_by_NID(subject, NID_commonName, type,
                                    reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

bool set_random_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  // Positive without a padding octet, and without a leading zero: the shortest DER form as it is.
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x3f) | 0x40);
  return ASN1_STRING_set(X509_get_serialNumber(certificate), bytes.data(),
                         static_cast<int>(bytes.size())) == 1;
}

bool set_validity(X509* certificate, std::int64_t not_before, std::int64_t not_after) {
  return has_four_digit_year(not_before) && has_four_digit_year(not_after) &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), not_before) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), not_after) != nullptr;
}

const EVP_MD* signature_digest(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_ED25519:
      return nullptr;
    case EVP_PKEY_EC:
      if (EVP_PKEY_get_bits(key) > 384) return EVP_sha512();
      if (EVP_PKEY_get_bits(key) > 256) return EVP_sha384();
      return EVP_sha256();
    default:
      return EVP_sha256();
  }
}

}  // namespace iron::tls
