#pragma once

#include <optional>
#include <string_view>

#include "policy/secret/secret.h"
#include "transforms/auth/secret_writer.h"

namespace iron::transforms {

enum class Base64Form {
  standard,  ///< RFC 4648 section 4: padded, nothing between
  lines,     ///< RFC 7468: the same with blanks and line breaks between
  url,       ///< RFC 7515 section 2: alphabet of URLs, no padding
};
/// Decodes into secret memory; nothing if `text` is anything else.
std::optional<Secret> secret_from_base64(std::string_view text, Base64Form form);
/// Appends `bytes` in the form of URLs.
void put_base64_url(SecretWriter& out, std::string_view bytes);

}  // namespace iron::transforms
