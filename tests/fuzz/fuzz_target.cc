#include "tests/fuzz/fuzz_target.h"

#include <cstdio>
#include <cstdlib>

namespace iron::fuzz {

void violated(const char* file, int line, const char* property) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, property);
  std::abort();
}

std::uint8_t Cutter::number() {
  if (rest_.empty()) return 0;
  const auto value = static_cast<std::uint8_t>(rest_.back());
  rest_.remove_suffix(1);
  return value;
}

std::size_t Cutter::up_to(std::size_t most) {
  std::size_t value = 0;
  for (std::size_t span = most; span > 0; span >>= 8) value = value << 8 | number();
  return most == static_cast<std::size_t>(-1) ? value : value % (most + 1);
}

std::string_view Cutter::text(char separator) {
  const std::size_t end = rest_.find(separator);
  const std::string_view found = rest_.substr(0, end);
  rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 1);
  return found;
}

}  // namespace iron::fuzz
