#include "policy/config_error.h"
#include "policy/utf8.h"
#include "policy/yaml/yaml_node.h"

namespace iron::policy {
namespace {

[[noreturn]] void fail_reading(const char* problem) {
  throw ConfigError(std::string("parsing config: yaml: ") + problem);
}

/// The characters a YAML stream may hold.
void check_character(std::uint32_t value) {
  const bool allowed = value == 0x09 || value == 0x0A || value == 0x0D || value == 0x85 ||
                       (value >= 0x20 && value <= 0x7E) || (value >= 0xA0 && value <= 0xD7FF) ||
                       (value >= 0xE000 && value <= 0xFFFD) || value >= 0x10000;
  if (!allowed) fail_reading("control characters are not allowed");
}

void check_utf8(std::string_view text) {
  static constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t width = lead < 0x80             ? 1
                              : (lead & 0xE0) == 0xC0 ? 2
                              : (lead & 0xF0) == 0xE0 ? 3
                              : (lead & 0xF8) == 0xF0 ? 4
                                                      : 0;
    if (width == 0) fail_reading("invalid leading UTF-8 octet");
    if (width > text.size() - at) fail_reading("incomplete UTF-8 octet sequence");
    std::uint32_t value = width == 1 ? lead : lead & (0xFFu >> (width + 1));
    for (std::size_t i = 1; i < width; ++i) {
      const auto octet = static_cast<unsigned char>(text[at + i]);
      if ((octet & 0xC0) != 0x80) fail_reading("invalid trailing UTF-8 octet");
      value = value << 6 | (octet & 0x3Fu);
    }
    if (value < kSmallest[width]) fail_reading("invalid length of a UTF-8 sequence");
    if ((value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF)
      fail_reading("invalid Unicode character");
    check_character(value);
    at += width;
  }
}

/// `low` and `high`: position of the low and the high byte within a unit.
std::string utf8_of_utf16(std::string_view bytes, std::size_t low, std::size_t high) {
  std::string out;
  out.reserve(bytes.size());
  std::size_t at = 2;
  const auto unit = [&](std::size_t from) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[from + low])) |
           static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[from + high])) << 8;
  };
  while (at < bytes.size()) {
    if (bytes.size() - at < 2) fail_reading("incomplete UTF-16 character");
    std::uint32_t value = unit(at);
    at += 2;
    if ((value & 0xFC00) == 0xDC00) fail_reading("unexpected low surrogate area");
    if ((value & 0xFC00) == 0xD800) {
      if (bytes.size() - at < 2) fail_reading("incomplete UTF-16 surrogate pair");
      const std::uint32_t second = unit(at);
      at += 2;
      if ((second & 0xFC00) != 0xDC00) fail_reading("expected low surrogate area");
      value = 0x10000 + ((value & 0x3FF) << 10) + (second & 0x3FF);
    }
    check_character(value);
    encode_utf8(value, [&out](char byte) { out += byte; });
  }
  return out;
}

std::string decode(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE")) return utf8_of_utf16(bytes, 0, 1);
  if (bytes.starts_with("\xFE\xFF")) return utf8_of_utf16(bytes, 1, 0);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  check_utf8(bytes);
  return std::string(bytes);
}

}  // namespace

std::string decode_yaml_bytes(std::string_view bytes) {
  std::string text = decode(bytes);
  // A carriage return alone ends a line in YAML; the library knows it only before a line feed.
  for (std::size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1)) {
    if (at + 1 == text.size() || text[at + 1] != '\n') text[at] = '\n';
  }
  return text;
}

}  // namespace iron::policy
