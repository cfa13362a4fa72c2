#include "transforms/auth/secret_base64.h"

#include <algorithm>
#include <cstdint>

#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

int digit_value(char c, Base64Form form) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  const bool url = form == Base64Form::url;
  if (c == (url ? '-' : '+')) return 62;
  return c == (url ? '_' : '/') ? 63 : -1;
}

}  // namespace

std::optional<Secret> secret_from_base64(std::string_view text, Base64Form form) {
  Secret out = Secret::sized(text.size() / 4 * 3 + 3);
  char* end = out.writable().data();
  std::uint32_t bits = 0;
  unsigned count = 0, padding = 0;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (blank && form == Base64Form::lines) continue;
    if (c == '=' && form != Base64Form::url) {
      ++padding;
      continue;
    }
    const int value = digit_value(c, form);
    if (value < 0 || padding > 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++count % 4 != 0) continue;
    for (const unsigned shift : {16U, 8U, 0U}) *end++ = static_cast<char>(bits >> shift & 0xFF);
  }
  const unsigned rest = count % 4;
  if (rest == 1 || (form != Base64Form::url && padding != (4 - rest) % 4)) return std::nullopt;
  if (rest > 1) *end++ = static_cast<char>(bits >> (rest == 2 ? 4 : 10) & 0xFF);
  if (rest > 2) *end++ = static_cast<char>(bits >> 2 & 0xFF);
  out.shrink(static_cast<std::size_t>(end - out.reveal().data()));
  return out;
}

void put_base64_url(SecretWriter& out, std::string_view bytes) {
  char* const begin = out.room(Base64Writer::length(bytes.size()));
  Base64Writer writer(begin);
  writer.feed(bytes);
  char* end = writer.finish();
  while (end > begin && end[-1] == '=') --end;
  std::replace(begin, end, '+', '-');
  std::replace(begin, end, '/', '_');
  out.written(static_cast<std::size_t>(end - begin));
}

}  // namespace iron::transforms
