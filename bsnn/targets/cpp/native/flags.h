// Flags of neurons as bits of a word.
#pragma once
#include <cstdint>
#include <cstring>

namespace bsnn {

// Of 32 flags, each 0 or 1, flag k as bit k.
inline uint32_t bits_of(const char* flags) {
#if defined(__AVX2__)
  // Without <immintrin.h>, which takes the compiler longer than all other headers.
  typedef char Flags __attribute__((vector_size(32)));
  Flags all;
  std::memcpy(&all, flags, sizeof all);
  return __builtin_ia32_pmovmskb256(all != 0);
#else
  uint32_t bits = 0;
  for (int k = 0; k < 32; k += 8) {
    uint64_t eight;
    std::memcpy(&eight, flags + k, sizeof eight);
    // On little-endian machines, flag k of eight comes into bit 56 + k of the product.
    bits |= uint32_t(eight * 0x0102040810204080u >> 56) << k;
  }
  return bits;
#endif
}

}  // namespace bsnn
