#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/http_message.h"

namespace iron::transforms {

/// How a body writes the characters of a text that mean something to its reader.
enum class BodyCoding : std::uint8_t {
  none,  ///< as they are
  form,  ///< percent-encoded
  json,  ///< escaped, in strings
};

/// By Content-Type (RFC 9110 section 8.3.1): `application/x-www-form-urlencoded`, and
/// `application/json` or another type that ends in `+json` (RFC 6839 section 3.1). None where two
/// fields contradict each other.
BodyCoding body_coding(const Headers& headers);

/// Tells which places of a JSON text are in its strings. Reads the text once, so places must be
/// asked for in their order. What is no JSON is read as far as quotes and backslashes go.
class JsonStrings {
 public:
  explicit JsonStrings(std::string_view json) : json_(json) {}
  /// The `length` bytes at `begin` are within one string.
  bool hold(std::size_t begin, std::size_t length);

 private:
  /// Reads on up to `end`; true if no quote was passed that opens or closes a string.
  bool read_to(std::size_t end);

  std::string_view json_;
  std::size_t at_ = 0;
  bool in_string_ = false, escaped_ = false;
};

}  // namespace iron::transforms
