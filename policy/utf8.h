#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iron::policy {

/// Length of the valid UTF-8 sequence at the front of `text`: 1 to 4, or 0 if it is not one
/// (overlong forms, surrogates and code points above U+10FFFF are not). `text` is not empty.
std::size_t utf8_sequence(std::string_view text);

/// Gives the bytes of a code point, 1 to 4, to `sink(char)`: what holds a secret is never copied
/// into a text of its own. `point` is at most U+10FFFF; surrogates are written like any other.
template <class Sink>
void encode_utf8(std::uint32_t point, Sink&& sink) {
  const auto follow = [&](unsigned shift) {
    sink(static_cast<char>(0x80 | (point >> shift & 0x3F)));
  };
  if (point < 0x80) {
    sink(static_cast<char>(point));
  } else if (point < 0x800) {
    sink(static_cast<char>(0xC0 | point >> 6));
    follow(0);
  } else if (point < 0x10000) {
    sink(static_cast<char>(0xE0 | point >> 12));
    follow(6);
    follow(0);
  } else {
    sink(static_cast<char>(0xF0 | point >> 18));
    follow(12);
    follow(6);
    follow(0);
  }
}

}  // namespace iron::policy
