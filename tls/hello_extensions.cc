#include "tls/hello_extensions.h"

#include <cstddef>
#include <optional>

namespace iron::tls {
namespace {

/// A vector of items of one size, which fills the extension; or nothing at all.
struct Form {
  unsigned int type;
  std::size_t length_octets;  ///< 0: the extension is empty
  std::size_t item_octets;
  std::size_t fewest_octets;
};

constexpr Form kForms[] = {
    {TLSEXT_TYPE_supported_groups, 2, 2, 2},                        // RFC 8446 section 4.2.7
    {TLSEXT_TYPE_ec_point_formats, 1, 1, 1},                        // RFC 8422 section 5.1.2
    {TLSEXT_TYPE_signature_algorithms, 2, 2, 2},                    // RFC 8446 section 4.2.3
    {TLSEXT_TYPE_signature_algorithms_cert, 2, 2, 2},               // RFC 8446 section 4.2.3
    {TLSEXT_TYPE_application_layer_protocol_negotiation, 2, 1, 2},  // RFC 7301 section 3.1
    {TLSEXT_TYPE_encrypt_then_mac, 0, 0, 0},                        // RFC 7366 section 2
    {TLSEXT_TYPE_extended_master_secret, 0, 0, 0},                  // RFC 7627 section 5.1
    {TLSEXT_TYPE_early_data, 0, 0, 0},                              // RFC 8446 section 4.2.10
    {TLSEXT_TYPE_supported_versions, 1, 2, 2},                      // RFC 8446 section 4.2.1
    {TLSEXT_TYPE_cookie, 2, 1, 1},                                  // RFC 8446 section 4.2.2
    {TLSEXT_TYPE_psk_kex_modes, 1, 1, 1},                           // RFC 8446 section 4.2.9
    {TLSEXT_TYPE_post_handshake_auth, 0, 0, 0},                     // RFC 8446 section 4.2.6
    {TLSEXT_TYPE_renegotiate, 1, 1, 0},                             // RFC 5746 section 3.2
};

std::optional<std::string_view> extension(SSL* ssl, unsigned int type) {
  const unsigned char* bytes = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, type, &bytes, &size) != 1) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(bytes), size);
}

std::size_t number(std::string_view octets) {
  std::size_t value = 0;
  for (const char octet : octets) value = value << 8 | static_cast<unsigned char>(octet);
  return value;
}

bool has_form(std::string_view value, const Form& form) {
  if (form.length_octets == 0) return value.empty();
  if (value.size() < form.length_octets) return false;
  const std::size_t rest = value.size() - form.length_octets;
  return number(value.substr(0, form.length_octets)) == rest && rest >= form.fewest_octets &&
         rest % form.item_octets == 0;
}

}  // namespace

HelloExtensions read_hello_extensions(SSL* ssl) {
  HelloExtensions result;
  for (const Form& form : kForms) {
    const auto value = extension(ssl, form.type);
    if (value && !has_form(*value, form)) result.malformed = true;
  }
  // A list of one host_name (RFC 6066 section 3); like OpenSSL, no client has ever known another
  // type.
  const auto list = extension(ssl, TLSEXT_TYPE_server_name);
  if (!list) return result;
  constexpr std::size_t kBeforeName = 5;  // length of the list, type, length of the name
  const bool good = list->size() > kBeforeName && (*list)[2] == TLSEXT_NAMETYPE_host_name &&
                    number(list->substr(0, 2)) == list->size() - 2 &&
                    number(list->substr(3, 2)) == list->size() - kBeforeName;
  if (good) {
    result.server_name = list->substr(kBeforeName);
  } else {
    result.malformed = true;
  }
  return result;
}

}  // namespace iron::tls
