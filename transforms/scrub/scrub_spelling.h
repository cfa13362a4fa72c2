#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "transforms/scrub_forms.h"

namespace iron::transforms {

/// Ways to write a byte in more than one character. All functions look at the first of `bytes`, of
/// which there are some; the others count where one character stands for several bytes.
enum class Spelling : std::uint8_t {
  none,
  percent,     ///< %2f
  json_short,  ///< \/
  json_byte,   ///< \u00xx of the byte
  json_code,   ///< \uxxxx, or two, of the character that begins here (RFC 8259 section 7)
  hex,         ///< 2f
};
inline constexpr Spelling kEscapes[] = {Spelling::percent, Spelling::json_short,
                                        Spelling::json_byte, Spelling::json_code};

/// `byte` alone says `wanted`.
bool plain_equals(ScrubForms::Kind kind, char wanted, char byte);
bool may_escape(ScrubForms::Kind kind, char wanted);
/// Characters of a spelling; 0: there is none.
std::size_t spelling_length(std::string_view bytes, Spelling spelling);
/// Bytes that it stands for.
std::size_t spelled_bytes(std::string_view bytes, Spelling spelling);
/// Its character at `offset`; digits in lower case.
char spelled(std::string_view bytes, Spelling spelling, std::size_t offset);

/// Calls `each(character)` for what may stand at `offset` of a spelling.
template <class Each>
void each_spelled(std::string_view bytes, Spelling spelling, std::size_t offset, Each each) {
  const char wanted = spelled(bytes, spelling, offset);
  each(wanted);
  const bool digit = spelling != Spelling::json_short && wanted >= 'a' && wanted <= 'f';
  if (digit) each(static_cast<char>(wanted - 32));
}

/// The same for the characters that a form's next byte can begin with.
template <class Each>
void each_start(ScrubForms::Kind kind, std::string_view bytes, Each each) {
  using Kind = ScrubForms::Kind;
  if (kind == Kind::hex) {
    each_spelled(bytes, Spelling::hex, 0, each);
    return;
  }
  const char wanted = bytes.front();
  each(wanted);
  if (kind == Kind::text && wanted == ' ') each('+');
  if (kind == Kind::base64 && wanted == '+') each('-');
  if (kind == Kind::base64 && wanted == '/') each('_');
  if (!may_escape(kind, wanted)) return;
  if (wanted != '%') each('%');
  if (wanted != '\\') each('\\');
}

}  // namespace iron::transforms
