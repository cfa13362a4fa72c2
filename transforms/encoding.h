#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace iron::transforms {

/// Encoders that write straight to their destination, so that key bytes are nowhere else.

char* put(char* out, std::string_view bytes);
/// `application/x-www-form-urlencoded`: letters, digits and `-_.~` stay, a blank becomes `+`. At
/// most 3 times as long.
char* put_form_encoded(char* out, std::string_view bytes);
/// Path data: letters, digits and `-_.~!$&'()*+,;=:@` stay; `/`, `%`, `?` and `#` do not. At most 3
/// times as long.
char* put_path_encoded(char* out, std::string_view bytes);
/// What may stand in a JSON string (RFC 8259 section 7): `"`, `\` and control characters are
/// escaped, all else stays, bytes that are no UTF-8 too. At most 6 times as long.
char* put_json_escaped(char* out, std::string_view bytes);

/// Standard base64 with padding, fed piece by piece.
class Base64Writer {
 public:
  explicit Base64Writer(char* out) : out_(out) {}
  ~Base64Writer();
  void feed(std::string_view bytes);
  /// Writes the rest and returns the end.
  char* finish();
  static std::size_t length(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

 private:
  char* out_;
  unsigned char carry_[3] = {};
  unsigned count_ = 0;
};

/// Standard alphabet, padding required; false if `text` is anything else. Replaces `out`.
bool decode_base64(std::string_view text, std::string& out);
/// `%XX` and `+`; false on a malformed escape. Replaces `out`.
bool decode_form(std::string_view text, std::string& out);

/// Two lower case digits for each byte; the end of what was written.
char* put_hex(char* out, std::string_view bytes);

}  // namespace iron::transforms
