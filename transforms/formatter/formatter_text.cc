#include "transforms/formatter/formatter_text.h"

#include <charconv>

#include "policy/quote.h"
#include "policy/utf8.h"
#include "transforms/encoding.h"

namespace iron::transforms::formatter {
namespace {

char short_escape(char c) {
  switch (c) {
    case '\a':
      return 'a';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    case '"':
    case '\\':
      return c;
    default:
      return '\0';
  }
}

/// Feeds the bytes of the quoted form; called once for the size and once to write.
template <class Sink>
void quote(std::string_view text, Sink sink) {
  constexpr char kHex[] = "0123456789abcdef";
  sink('"');
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const auto byte = static_cast<unsigned char>(c);
    const std::size_t length = policy::utf8_sequence(text.substr(at));
    if (const char letter = short_escape(c)) {
      sink('\\');
      sink(letter);
    } else if (length == 0 || byte < 0x20 || byte == 0x7F) {
      for (const char part : {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]}) sink(part);
    } else {
      for (const char part : text.substr(at, length)) sink(part);
    }
    at += length == 0 ? 1 : length;
  }
  sink('"');
}

std::size_t total(const std::vector<std::string_view>& pieces) {
  std::size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  return size;
}

}  // namespace

std::string_view Texts::join(const std::vector<std::string_view>& pieces) {
  Secret& text = made(total(pieces));
  char* out = text.writable().data();
  for (const std::string_view piece : pieces) out = put(out, piece);
  return text.reveal();
}

std::string_view Texts::base64(const std::vector<std::string_view>& pieces) {
  Secret& text = made(Base64Writer::length(total(pieces)));
  Base64Writer writer(text.writable().data());
  for (const std::string_view piece : pieces) writer.feed(piece);
  writer.finish();
  return text.reveal();
}

std::string_view Texts::quoted(std::string_view text) {
  std::size_t size = 0;
  quote(text, [&](char) { ++size; });
  Secret& out = made(size);
  std::size_t at = 0;
  quote(text, [&](char c) { out.writable()[at++] = c; });
  return out.reveal();
}

std::string_view Texts::decimal(long long number) {
  Secret& text = made(24);
  char* begin = text.writable().data();
  const auto result = std::to_chars(begin, begin + 24, number);
  text.shrink(static_cast<std::size_t>(result.ptr - begin));
  return text.reveal();
}

}  // namespace iron::transforms::formatter
