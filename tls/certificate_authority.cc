#include "tls/certificate_authority.h"

#include <fcntl.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "policy/config/open_file.h"
#include "policy/errno_text.h"
#include "tls/error_text.h"

namespace iron::tls {
namespace {

constexpr std::size_t kMaxFileSize = 1 << 20;

/// Bytes that are wiped when they go; one allocation, so no growth leaves a copy behind.
class WipedBytes {
 public:
  explicit WipedBytes(std::size_t capacity)
      : bytes_(std::make_unique_for_overwrite<unsigned char[]>(capacity)), capacity_(capacity) {}
  ~WipedBytes() { OPENSSL_cleanse(bytes_.get(), size_); }
  WipedBytes(const WipedBytes&) = delete;
  WipedBytes& operator=(const WipedBytes&) = delete;

  unsigned char* end() { return bytes_.get() + size_; }
  const unsigned char* data() const { return bytes_.get(); }
  std::size_t size() const { return size_; }
  std::size_t room() const { return capacity_ - size_; }
  void grow(std::size_t count) { size_ += count; }

 private:
  std::unique_ptr<unsigned char[]> bytes_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

/// Closes a descriptor at the end of the scope.
struct FileDescriptor {
  int number;
  ~FileDescriptor() {
    if (number >= 0) ::close(number);
  }
};

/// Reads without stdio, whose buffers would keep a copy of the key.
void read_file(const std::string& path, const std::string& what, WipedBytes& into) {
  const FileDescriptor file{policy::open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  if (file.number < 0) {
    const int error = errno;
    const std::string text =
        "reading " + what + ": open " + path + ": " + policy::errno_text(error);
    if (error == ENOENT || error == ENOTDIR) throw MissingFile(text);
    throw std::runtime_error(text);
  }
  while (true) {
    const ssize_t count = policy::read_file_part(file.number, into.end(), into.room());
    if (count == 0 && into.room() > 0) return;
    if (count < 0) {
      throw std::runtime_error("reading " + what + ": read " + path + ": " +
                               policy::errno_text(errno));
    }
    into.grow(static_cast<std::size_t>(count));
    if (into.room() == 0) {
      throw std::runtime_error("reading " + what + ": " + path + " is larger than 1 MiB");
    }
  }
}

/// One PEM block; its bytes are wiped when it goes.
struct PemBlock {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;

  PemBlock() = default;
  PemBlock(const PemBlock&) = delete;
  PemBlock& operator=(const PemBlock&) = delete;
  ~PemBlock() { reset(); }
  void reset() {
    OPENSSL_secure_free(name);
    OPENSSL_secure_free(header);
    OPENSSL_secure_clear_free(data, static_cast<std::size_t>(size));
    name = header = nullptr;
    data = nullptr;
    size = 0;
  }
};

using Wanted = std::function<bool(std::string_view label)>;

/// Reads up to the first block whose label is wanted. A malformed block is stepped over.
bool next_block(BIO* input, const Wanted& wanted, PemBlock& block) {
  while (true) {
    block.reset();
    const std::size_t before = BIO_ctrl_pending(input);
    if (PEM_read_bio_ex(input, &block.name, &block.header, &block.data, &block.size,
                        PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) == 1) {
      if (wanted(block.name)) return true;
      continue;
    }
    ERR_clear_error();
    if (BIO_ctrl_pending(input) == 0 || BIO_ctrl_pending(input) == before) return false;
  }
}

/// The first block of the wanted type, else the first block at all (labels such as `X509
/// CERTIFICATE` have always been accepted); false if the file holds none.
bool find_block(const WipedBytes& file, const Wanted& wanted, PemBlock& block) {
  for (const Wanted& filter : {wanted, Wanted([](std::string_view) { return true; })}) {
    const SslPtr<BIO, BIO_free> input(BIO_new_mem_buf(file.data(), static_cast<int>(file.size())));
    if (file.size() > 0 && next_block(input.get(), filter, block)) return true;
  }
  return false;
}

/// True if the bytes begin with a DER sequence that is complete.
bool begins_with_sequence(const unsigned char* data, long size) {
  long length = 0;
  int tag = 0;
  int kind = 0;
  const int found = ASN1_get_object(&data, &length, &tag, &kind, size);
  ERR_clear_error();
  return found == V_ASN1_CONSTRUCTED && tag == V_ASN1_SEQUENCE && kind == V_ASN1_UNIVERSAL;
}

CertificatePtr load_certificate(const std::string& path) {
  WipedBytes file(kMaxFileSize);  // the key may be in the same file
  read_file(path, "CA cert", file);
  PemBlock block;
  if (!find_block(file, [](std::string_view label) { return label == "CERTIFICATE"; }, block)) {
    throw std::runtime_error("no PEM block found in CA cert");
  }
  const unsigned char* cursor = block.data;
  CertificatePtr certificate(d2i_X509(nullptr, &cursor, block.size));
  ERR_clear_error();
  if (!certificate) {
    const bool whole = begins_with_sequence(block.data, block.size);
    throw std::runtime_error(whole ? "parsing CA cert: x509: malformed tbs certificate"
                                   : "parsing CA cert: x509: malformed certificate");
  }
  if (cursor != block.data + block.size) {
    throw std::runtime_error("parsing CA cert: x509: trailing data");
  }
  return certificate;
}

bool is_key_label(std::string_view label) {
  return label == "PRIVATE KEY" || label == "RSA PRIVATE KEY" || label == "EC PRIVATE KEY";
}

bool is_usable_key(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_ED25519:
      return true;
    case EVP_PKEY_EC: {
      char group[32] = "";
      std::size_t length = 0;
      if (EVP_PKEY_get_group_name(key, group, sizeof group, &length) != 1) return false;
      const std::string_view curve(group, length);
      return curve == SN_X9_62_prime256v1 || curve == SN_secp384r1 || curve == SN_secp521r1 ||
             curve == SN_secp224r1;
    }
    default:
      return false;
  }
}

KeyPtr load_key(const std::string& path) {
  WipedBytes file(kMaxFileSize);
  read_file(path, "CA key", file);
  PemBlock block;
  if (!find_block(file, is_key_label, block)) {
    throw std::runtime_error("no PEM block found in CA key");
  }
  const unsigned char* cursor = block.data;
  KeyPtr key(d2i_AutoPrivateKey(nullptr, &cursor, block.size));
  ERR_clear_error();
  if (!key || !is_usable_key(key.get())) {
    throw std::runtime_error(
        "parsing CA key (tried PKCS8, PKCS1, and EC formats): x509: failed to parse EC private "
        "key: asn1: structure error: not an RSA, ECDSA or Ed25519 key");
  }
  return key;
}

/// -1: no limit, or no basicConstraints at all.
struct Constraints {
  bool is_ca = false;
  long path_length = -1;
};

Constraints basic_constraints(const X509* certificate) {
  const SslPtr<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> found(static_cast<BASIC_CONSTRAINTS*>(
      X509_get_ext_d2i(certificate, NID_basic_constraints, nullptr, nullptr)));
  Constraints result;
  if (!found) return result;
  result.is_ca = found->ca != 0;
  if (found->pathlen != nullptr) result.path_length = ASN1_INTEGER_get(found->pathlen);
  return result;
}

/// An extended key usage in a CA limits what stands below it (RFC 5280 leaves it open, verifiers do
/// it).
bool may_issue_for_servers(X509* certificate) {
  if ((X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) == 0) return true;
  return (X509_get_extended_key_usage(certificate) & (XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
}

}  // namespace

std::int64_t seconds_since_epoch(const ASN1_TIME* time, std::int64_t fallback) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return fallback;
  return static_cast<std::int64_t>(::timegm(&parts));
}

CertificateAuthority load_certificate_authority(const std::string& certificate_path,
                                                const std::string& key_path) {
  CertificateAuthority authority;
  authority.certificate = load_certificate(certificate_path);
  authority.key = load_key(key_path);
  X509* certificate = authority.certificate.get();

  const Constraints constraints = basic_constraints(certificate);
  if (!constraints.is_ca) {
    throw std::runtime_error("certificate is not a CA (BasicConstraints.IsCA is false)");
  }
  const std::uint32_t flags = X509_get_extension_flags(certificate);
  if ((flags & EXFLAG_KUSAGE) == 0 || (X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) == 0) {
    throw std::runtime_error("CA certificate missing KeyUsageCertSign");
  }
  if (X509_check_private_key(certificate, authority.key.get()) != 1) {
    ERR_clear_error();
    throw std::runtime_error("CA key does not match CA certificate");
  }
  authority.not_before = seconds_since_epoch(X509_get0_notBefore(certificate), 0);
  authority.not_after = seconds_since_epoch(X509_get0_notAfter(certificate),
                                            std::numeric_limits<std::int64_t>::max());
  authority.intermediate_pays = EVP_PKEY_get_base_id(authority.key.get()) == EVP_PKEY_RSA &&
                                constraints.path_length != 0 && may_issue_for_servers(certificate);
  return authority;
}

}  // namespace iron::tls
