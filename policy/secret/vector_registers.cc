#include "policy/secret/vector_registers.h"

namespace iron {

#if defined(__x86_64__)

namespace {

__attribute__((target("avx"))) void clear_16() {
  asm volatile("vzeroall" ::
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                     "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/// Clearing 128 bits of a register clears all 512, and does not slow the processor down as wider
/// instructions may.
__attribute__((target("avx512f,avx512vl"))) void clear_32() {
  clear_16();
  asm volatile(
      "vpxord %%xmm16, %%xmm16, %%xmm16\n\tvpxord %%xmm17, %%xmm17, %%xmm17\n\t"
      "vpxord %%xmm18, %%xmm18, %%xmm18\n\tvpxord %%xmm19, %%xmm19, %%xmm19\n\t"
      "vpxord %%xmm20, %%xmm20, %%xmm20\n\tvpxord %%xmm21, %%xmm21, %%xmm21\n\t"
      "vpxord %%xmm22, %%xmm22, %%xmm22\n\tvpxord %%xmm23, %%xmm23, %%xmm23\n\t"
      "vpxord %%xmm24, %%xmm24, %%xmm24\n\tvpxord %%xmm25, %%xmm25, %%xmm25\n\t"
      "vpxord %%xmm26, %%xmm26, %%xmm26\n\tvpxord %%xmm27, %%xmm27, %%xmm27\n\t"
      "vpxord %%xmm28, %%xmm28, %%xmm28\n\tvpxord %%xmm29, %%xmm29, %%xmm29\n\t"
      "vpxord %%xmm30, %%xmm30, %%xmm30\n\tvpxord %%xmm31, %%xmm31, %%xmm31" ::
          : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
            "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

using Clear = void (*)();

Clear fitting() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512vl")) return clear_32;
  return __builtin_cpu_supports("avx") ? clear_16 : nullptr;
}

/// Null without AVX, and for what is wiped before this file's constants are there.
const Clear clear = fitting();

}  // namespace

void clear_vector_registers() {
  if (clear != nullptr) clear();
}

#else

void clear_vector_registers() {}

#endif

}  // namespace iron
