#include "tls/certificate_name.h"

#include <openssl/x509v3.h>

#include <algorithm>

#include "tls/ssl_ptr.h"

namespace iron::tls {
namespace {

using Names = SslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool is_label_character(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/// Labels of letters, digits, `-` and `_`, none of them empty.
bool has_plain_labels(std::string_view name) {
  while (true) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || !std::all_of(label.begin(), label.end(), is_label_character)) return false;
    if (dot == name.size()) return true;
    name.remove_prefix(dot + 1);
  }
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

bool wildcard_covers_underscore(const X509* certificate, std::string_view host) noexcept {
  if (host.find('_') == host.npos || !has_plain_labels(host)) return false;
  const std::size_t dot = host.find('.');
  if (dot == host.npos || host.find('.', dot + 1) == host.npos) return false;
  const std::string_view parent = host.substr(dot);
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const std::string_view pattern(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
        static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    if (pattern.starts_with('*') && same_ignoring_case(pattern.substr(1), parent)) return true;
  }
  return false;
}

}  // namespace iron::tls
