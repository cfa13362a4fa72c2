#include "tests/fuzz/fuzz_target.h"

#include <algorithm>
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

std::vector<std::size_t> cuts(std::string_view bytes) {
  constexpr std::size_t kAll = 64, kLeast = 4, kBytes = 65536;
  std::size_t step = 1, first = 0;
  if (bytes.size() > kAll) {
    std::uint32_t hash = 2166136261;  // FNV-1a
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    step = bytes.size() / std::clamp(kBytes / bytes.size(), kLeast, kAll);
    first = hash % step;
  }
  std::vector<std::size_t> places;
  for (std::size_t at = first; at < bytes.size(); at += step) places.push_back(at);
  places.push_back(bytes.size());
  return places;
}

}  // namespace iron::fuzz
