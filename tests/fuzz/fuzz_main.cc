// What libFuzzer calls; IRON_FUZZ_TARGET is the function of the target.
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iron::fuzz {
void IRON_FUZZ_TARGET(std::string_view input);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  iron::fuzz::IRON_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
