#pragma once

#include <cstdint>
#include <string_view>

namespace iron::transforms {

/// An attribute of a line of the log.
struct Note {
  std::string_view key, text;
  std::int64_t number = 0;
  bool is_number = false;
  Note(std::string_view key_in, std::string_view text_in) : key(key_in), text(text_in) {}
  Note(std::string_view key_in, std::int64_t number_in)
      : key(key_in), number(number_in), is_number(true) {}
};

}  // namespace iron::transforms
