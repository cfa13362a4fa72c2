#include "transforms/encoding.h"

#include <array>
#include <cstring>
#include <span>

#include "policy/hex.h"
#include "policy/secret/secret.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kHex[] = "0123456789ABCDEF";

constexpr std::array<bool, 256> kept_bytes(std::string_view marks) {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  for (const char c : marks) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr auto kFormBytes = kept_bytes("-_.~");
constexpr auto kPathBytes = kept_bytes("-_.~!$&'()*+,;=:@");

constexpr std::array<signed char, 256> kBase64Values = [] {
  std::array<signed char, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < kBase64.size(); ++i) {
    table[static_cast<unsigned char>(kBase64[i])] = static_cast<signed char>(i);
  }
  return table;
}();

char* put_escaped(char* out, unsigned char byte) {
  *out++ = '%';
  *out++ = kHex[byte >> 4];
  *out++ = kHex[byte & 15];
  return out;
}

}  // namespace

char* put(char* out, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

char* put_form_encoded(char* out, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (kFormBytes[byte]) {
      *out++ = c;
    } else if (c == ' ') {
      *out++ = '+';
    } else {
      out = put_escaped(out, byte);
    }
  }
  return out;
}

char* put_path_encoded(char* out, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPathBytes[byte]) {
      *out++ = c;
    } else {
      out = put_escaped(out, byte);
    }
  }
  return out;
}

char* put_json_escaped(char* out, std::string_view bytes) {
  constexpr std::string_view kMeant = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
  for (const char c : bytes) {
    const std::size_t letter = kMeant.find(c);
    if (letter != kMeant.npos) {
      *out++ = '\\';
      *out++ = kLetters[letter];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out = put(out, "\\u00");
      *out++ = kHex[static_cast<unsigned char>(c) >> 4];
      *out++ = kHex[c & 15];
    } else {
      *out++ = c;
    }
  }
  return out;
}

Base64Writer::~Base64Writer() {
  wipe(std::span<char>(reinterpret_cast<char*>(carry_), sizeof carry_));
}

void Base64Writer::feed(std::string_view bytes) {
  for (const char c : bytes) {
    carry_[count_++] = static_cast<unsigned char>(c);
    if (count_ < 3) continue;
    *out_++ = kBase64[carry_[0] >> 2];
    *out_++ = kBase64[(carry_[0] & 3) << 4 | carry_[1] >> 4];
    *out_++ = kBase64[(carry_[1] & 15) << 2 | carry_[2] >> 6];
    *out_++ = kBase64[carry_[2] & 63];
    count_ = 0;
  }
}

char* Base64Writer::finish() {
  if (count_ == 0) return out_;
  if (count_ == 1) carry_[1] = 0;
  *out_++ = kBase64[carry_[0] >> 2];
  *out_++ = kBase64[(carry_[0] & 3) << 4 | carry_[1] >> 4];
  *out_++ = count_ == 2 ? kBase64[(carry_[1] & 15) << 2] : '=';
  *out_++ = '=';
  count_ = 0;
  return out_;
}

bool decode_base64(std::string_view text, std::string& out) {
  out.clear();
  if (text.size() % 4 != 0) return false;
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const int padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    unsigned bits = 0;
    for (int k = 0; k < 4 - padding; ++k) {
      const int value = kBase64Values[static_cast<unsigned char>(text[i + k])];
      if (value < 0) return false;
      bits |= static_cast<unsigned>(value) << (18 - 6 * k);
    }
    out += static_cast<char>(bits >> 16);
    if (padding < 2) out += static_cast<char>(bits >> 8 & 0xFF);
    if (padding < 1) out += static_cast<char>(bits & 0xFF);
  }
  return true;
}

bool decode_form(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return false;
      const int high = policy::hex_value(text[i + 1]), low = policy::hex_value(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return true;
}

char* put_hex(char* out, std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    *out++ = kDigits[byte >> 4];
    *out++ = kDigits[byte & 15];
  }
  return out;
}

}  // namespace iron::transforms
