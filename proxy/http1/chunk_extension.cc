#include "proxy/http1/chunk_extension.h"

#include <string_view>

#include "proxy/http/field_text.h"

namespace iron::proxy {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_text(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); }
bool is_token_byte(char c) { return is_token(std::string_view(&c, 1)); }

}  // namespace

bool ChunkExtension::go(At next) {
  at_ = next;
  return true;
}

/// What may follow a size, a name or a value besides more of it: `;`, or blanks before it.
bool ChunkExtension::separated(char c, At blank) {
  if (c == ';') return go(At::before_name);
  return is_blank(c) && go(blank);
}

bool ChunkExtension::take(char c) {
  if (lines_ == ChunkLines::of_origin) return take_of_origin(c);
  switch (at_) {
    case At::size:
    case At::blank:
    case At::quoted_end:
      return separated(c, At::blank);
    case At::before_name:
      return is_blank(c) || (is_token_byte(c) && go(At::name));
    case At::name:
      if (is_token_byte(c)) return true;
      [[fallthrough]];
    case At::after_name:
      return c == '=' ? go(At::before_value) : separated(c, At::after_name);
    case At::before_value:
      if (c == '"') return go(At::quoted);
      return is_blank(c) || (is_token_byte(c) && go(At::value));
    case At::value:
      return is_token_byte(c) || separated(c, At::blank);
    case At::quoted:
      if (c == '"') return go(At::quoted_end);
      return c == '\\' ? go(At::quoted_pair) : is_text(c);
    case At::quoted_pair:
      return is_text(c) && go(At::quoted);
    case At::anything:
      break;
  }
  return false;
}

bool ChunkExtension::take_of_origin(char c) {
  if (at_ == At::anything) return is_text(c);
  return c == ';' ? go(At::anything) : is_blank(c) && go(At::blank);
}

bool ChunkExtension::may_end() const {
  switch (at_) {
    case At::size:
    case At::name:
    case At::value:
    case At::quoted_end:
    case At::anything:
      return true;
    case At::blank:
      return lines_ == ChunkLines::of_origin;
    default:
      return false;
  }
}

}  // namespace iron::proxy
