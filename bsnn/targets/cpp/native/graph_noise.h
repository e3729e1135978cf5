// Normal numbers of a counter, for noise that belongs to a sample and its seed.
#pragma once
#include <cmath>
#include <cstdint>

#include "graph_visits.h"

namespace bsnn {

// Uniform bits of a counter (splitmix64, Steele et al. 2014, doi:10.1145/2714064.2660195):
// the same for a sample whoever simulates it, and as often as it is repeated.
BSNN_ANYWHERE inline uint64_t scrambled(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
BSNN_ANYWHERE inline uint64_t noise_key(uint64_t seed, uint64_t sample, uint64_t step,
                                        uint64_t stream) {
  return scrambled(scrambled(scrambled(seed ^ scrambled(sample)) ^ step) ^ stream);
}
BSNN_ANYWHERE inline Real normal_number(uint64_t key, uint64_t k) {  // Box & Muller 1958
  const uint64_t bits = scrambled(key ^ k);
  const double u = ((bits >> 32) + 0.5) * 0x1p-32, phase = (bits & 0xffffffffu) * 0x1p-32;
  return Real(std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * phase));
}
inline void draw_normal(Real* values, int64_t n, uint64_t seed, uint64_t sample, uint64_t step,
                        uint64_t stream) {
  const uint64_t key = noise_key(seed, sample, step, stream);
  for (int64_t k = 0; k < n; k++) values[k] = normal_number(key, k);
}

}  // namespace bsnn
