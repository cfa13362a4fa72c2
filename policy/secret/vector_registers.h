#pragma once

namespace iron {

/// Zeroes the vector registers of this thread. memcpy and ciphers of the C library and OpenSSL move
/// keys through them and leave them there; a thread that sleeps keeps them for minutes, and a core
/// file has the registers of every thread. wipe() calls it. Elsewhere than on x86-64 with
/// AVX it does nothing.
void clear_vector_registers();

}  // namespace iron
