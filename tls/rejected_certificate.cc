#include "tls/rejected_certificate.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>
#include <ctime>
#include <limits>
#include <vector>

#include "tls/certificate_authority.h"
#include "tls/certificate_name.h"
#include "tls/ssl_ptr.h"

namespace iron::tls {
namespace {

using Names = SslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;
constexpr std::size_t kMostNames = 100;
constexpr unsigned kHostFlags =
    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
constexpr const char* kUnknownAuthority = "x509: certificate signed by unknown authority";

void free_certificate(void*, void* certificate, CRYPTO_EX_DATA*, int, long, void*) {
  X509_free(static_cast<X509*>(certificate));
}

int slot() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_certificate);
  return index;
}

std::string utc(std::int64_t seconds) {
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[40];
  if (::gmtime_r(&time, &parts) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return "?";
  }
  return text;
}

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool is_valid_for(X509* leaf, const std::string& host) {
  return is_address(host)
             ? X509_check_ip_asc(leaf, host.c_str(), 0) == 1
             : X509_check_host(leaf, host.data(), host.size(), kHostFlags, nullptr) == 1 ||
                   wildcard_covers_underscore(leaf, host);
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(address) != 16) return "?";
  ::inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text);
  return text;
}

/// The names of one kind: addresses, or DNS names.
std::vector<std::string> names_of(const GENERAL_NAMES* names, bool addresses) {
  std::vector<std::string> found;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (addresses && name->type == GEN_IPADD) {
      found.push_back(address_text(name->d.iPAddress));
    } else if (!addresses && name->type == GEN_DNS) {
      found.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    }
  }
  return found;
}

/// Why the certificate is for somebody else.
std::string name_error_text(X509* leaf, const std::string& host) {
  const Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  if (!names && X509_check_host(leaf, host.data(), host.size(),
                                X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT, nullptr) == 1) {
    return "x509: certificate relies on legacy Common Name field, use SANs instead";
  }
  const bool address = is_address(host);
  const std::vector<std::string> valid = names_of(names.get(), address);
  if (address && valid.empty()) {
    return "x509: cannot validate certificate for " + host +
           " because it doesn't contain any IP SANs";
  }
  if (valid.empty()) {
    return "x509: certificate is not valid for any names, but wanted to match " + host;
  }
  if (valid.size() >= kMostNames) {
    return "x509: certificate is valid for " + std::to_string(valid.size()) +
           (address ? " IP SANs" : " names") + ", but none matched " + host;
  }
  std::string list;
  for (const std::string& name : valid) list += (list.empty() ? "" : ", ") + name;
  return "x509: certificate is valid for " + list + ", not " + host;
}

/// Empty if `now` is within the validity of the certificate.
std::string time_error_text(const X509* leaf, std::int64_t now) {
  const std::string start =
      "x509: certificate has expired or is not yet valid: current time " + utc(now);
  const std::int64_t from = seconds_since_epoch(X509_get0_notBefore(leaf), 0);
  const std::int64_t until =
      seconds_since_epoch(X509_get0_notAfter(leaf), std::numeric_limits<std::int64_t>::max());
  if (now < from) return start + " is before " + utc(from);
  if (now > until) return start + " is after " + utc(until);
  return "";
}

std::string chain_error_text(long result, const std::string& host) {
  switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_HAS_EXPIRED:  // of an issuer; the leaf's own dates came first
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return kUnknownAuthority;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "x509: certificate is not valid for any names, but wanted to match " + host;
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
      return "x509: certificate is not authorized to sign other certificates";
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
      return "x509: too many intermediates for path length constraint";
    case X509_V_ERR_INVALID_PURPOSE:
      return "x509: certificate specifies an incompatible key usage";
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
      return "x509: a root or intermediate certificate is not authorized to sign for this name: " +
             host;
    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
      return "x509: unhandled critical extension";
    default:
      return std::string("x509: ") + X509_verify_cert_error_string(result);
  }
}

}  // namespace

int review_verification(int verdict, X509_STORE_CTX* context) {
  if (verdict == 1) return verdict;
  X509* leaf = X509_STORE_CTX_get0_cert(context);
  if (leaf == nullptr) return verdict;
  if (X509_STORE_CTX_get_error(context) == X509_V_ERR_HOSTNAME_MISMATCH) {
    const char* host = X509_VERIFY_PARAM_get0_host(X509_STORE_CTX_get0_param(context), 0);
    if (host != nullptr && wildcard_covers_underscore(leaf, host)) {
      X509_STORE_CTX_set_error(context, X509_V_OK);
      return 1;
    }
  }
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (ssl == nullptr || SSL_get_ex_data(ssl, slot()) != nullptr) return verdict;
  X509_up_ref(leaf);
  if (SSL_set_ex_data(ssl, slot(), leaf) != 1) X509_free(leaf);
  return verdict;
}

X509* rejected_certificate(const SSL* ssl) {
  return static_cast<X509*>(SSL_get_ex_data(ssl, slot()));
}

std::string verification_error_text(long result,
                                    X509* leaf,
                                    const std::string& host,
                                    std::int64_t now) {
  if (leaf != nullptr) {
    // The reference looks at the leaf's dates, then at its names, and only then for a chain.
    std::string text = time_error_text(leaf, now);
    if (!text.empty()) return text;
    if (!is_valid_for(leaf, host)) return name_error_text(leaf, host);
  }
  return chain_error_text(result, host);
}

}  // namespace iron::tls
