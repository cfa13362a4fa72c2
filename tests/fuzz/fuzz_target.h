#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Defines a fuzz target: `FUZZ_TARGET(name) { … }` gets the bytes as `input`. fuzz_corpora replays
/// the corpora of all of them (replay_main.cc); for libFuzzer each is a program of its own
/// (fuzz_main.cc).
#define FUZZ_TARGET(name)            \
  namespace iron::fuzz {             \
  void name(std::string_view input); \
  }                                  \
  void iron::fuzz::name(std::string_view input)

/// Ends the process where a property does not hold; in every build type.
#define FUZZ_CHECK(condition) \
  ((condition) ? void() : iron::fuzz::violated(__FILE__, __LINE__, #condition))

namespace iron::fuzz {

[[noreturn]] void violated(const char* file, int line, const char* property);

/// Takes an input apart. Numbers come from its end, so that what stays in front is the text
/// itself, as a seed file and a dictionary would have it.
class Cutter {
 public:
  explicit Cutter(std::string_view input) : rest_(input) {}
  std::uint8_t number();
  /// A number from 0 to `most`.
  std::size_t up_to(std::size_t most);
  bool flag() { return (number() & 1U) != 0; }
  /// What lies before the next `separator`, which goes too; everything if there is none.
  std::string_view text(char separator = '\n');
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

/// Places to cut an input at, its end always among them: all of a short one. Of a long one some, so
/// that an execution costs no more than a few passes over it, and which ones its bytes decide, so
/// that every place gets a turn.
std::vector<std::size_t> cuts(std::string_view bytes);

}  // namespace iron::fuzz
