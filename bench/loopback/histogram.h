#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

namespace iron::bench {

/// Durations, each kept to within one part in 256 of itself, in bounded memory.
class Histogram {
 public:
  void add(std::uint64_t nanoseconds) {
    const std::size_t place = place_of(nanoseconds);
    if (place >= counts_.size()) counts_.resize(place + 1);
    ++counts_[place];
  }

  /// `[[nanoseconds, how often], …]`, ascending, with the middle of each class.
  std::string json() const {
    std::string text = "[";
    for (std::size_t place = 0; place < counts_.size(); ++place) {
      if (counts_[place] == 0) continue;
      if (text.size() > 1) text += ',';
      text += '[' + std::to_string(middle_of(place)) + ',' + std::to_string(counts_[place]) + ']';
    }
    return text + ']';
  }

 private:
  static constexpr unsigned kBits = 7;  // classes for each power of two: 128
  static constexpr std::uint64_t kClasses = 1u << kBits;

  static std::size_t place_of(std::uint64_t value) {
    if (value < kClasses) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return (std::uint64_t{shift} << kBits) + (value >> shift);
  }
  static std::uint64_t middle_of(std::size_t place) {
    if (place < 2 * kClasses) return place;
    const std::uint64_t shift = (place >> kBits) - 1;
    return ((place - (shift << kBits)) << shift) + (std::uint64_t{1} << (shift - 1));
  }

  std::vector<std::uint64_t> counts_;
};

}  // namespace iron::bench
