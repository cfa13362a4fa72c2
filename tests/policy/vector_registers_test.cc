#include "policy/secret/vector_registers.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/secret/secret.h"

namespace iron {
namespace {

#if defined(__x86_64__)

constexpr std::uint64_t kPattern = 0x5a17c0de5a17c0deU;

bool all_zero(const std::vector<std::uint64_t>& words) {
  for (const std::uint64_t word : words) {
    if (word != 0) return false;
  }
  return true;
}

/// xmm8 to xmm11, which nothing on the way uses, after `clear`.
__attribute__((noinline)) std::vector<std::uint64_t> registers_of_128(void (*clear)()) {
  std::vector<std::uint64_t> left(8, 1);
  const std::uint64_t pattern[2] = {kPattern, kPattern};
  asm volatile(
      "movdqu (%0), %%xmm8\n\tmovdqu (%0), %%xmm9\n\t"
      "movdqu (%0), %%xmm10\n\tmovdqu (%0), %%xmm11" ::"r"(pattern)
      : "xmm8", "xmm9", "xmm10", "xmm11", "memory");
  clear();
  asm volatile(
      "movdqu %%xmm8, (%0)\n\tmovdqu %%xmm9, 16(%0)\n\t"
      "movdqu %%xmm10, 32(%0)\n\tmovdqu %%xmm11, 48(%0)" ::"r"(left.data())
      : "memory");
  return left;
}

/// All of zmm16, zmm19, zmm24 and zmm31, after `clear`.
__attribute__((target("avx512f,avx512vl"), noinline)) std::vector<std::uint64_t> registers_of_512(
    void (*clear)()) {
  std::vector<std::uint64_t> left(32, 1);
  asm volatile(
      "vpbroadcastq %0, %%zmm16\n\tvpbroadcastq %0, %%zmm19\n\t"
      "vpbroadcastq %0, %%zmm24\n\tvpbroadcastq %0, %%zmm31" ::"r"(kPattern)
      : "xmm16", "xmm19", "xmm24", "xmm31");
  clear();
  asm volatile(
      "vmovdqu64 %%zmm16, (%0)\n\tvmovdqu64 %%zmm19, 64(%0)\n\t"
      "vmovdqu64 %%zmm24, 128(%0)\n\tvmovdqu64 %%zmm31, 192(%0)" ::"r"(left.data())
      : "memory");
  return left;
}

void wipe_something() {
  std::string text = "abc";
  wipe(text);
}

TEST(VectorRegisters, AreEmptyBehindAWipe) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "needs AVX";
  EXPECT_FALSE(all_zero(registers_of_128([] {})));
  EXPECT_TRUE(all_zero(registers_of_128(clear_vector_registers)));
  EXPECT_TRUE(all_zero(registers_of_128(wipe_something)));
}

TEST(VectorRegisters, OfAvx512Too) {
  if (!__builtin_cpu_supports("avx512vl")) GTEST_SKIP() << "needs AVX-512";
  EXPECT_FALSE(all_zero(registers_of_512([] {})));
  EXPECT_TRUE(all_zero(registers_of_512(clear_vector_registers)));
  EXPECT_TRUE(all_zero(registers_of_512(wipe_something)));
}

#endif

}  // namespace
}  // namespace iron
