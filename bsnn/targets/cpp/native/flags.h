// Flags of neurons as bits of a word.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace bsnn {

// Of 32 flags, each 0 or 1, flag k as bit k.
inline uint32_t bits_of(const char* flags) {
#if defined(__AVX2__)
  const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(flags));
  return _mm256_movemask_epi8(_mm256_slli_epi16(all, 7));
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
