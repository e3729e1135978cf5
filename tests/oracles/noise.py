"""The program's normal numbers, computed again: splitmix64 and Box & Muller."""

import numpy as np

_MASK = (1 << 64) - 1


def _scrambled(x):
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def normal(n, *, seed, sample, step, stream):
    """Return the numbers of n neurons in one step."""
    key = _scrambled(_scrambled(_scrambled(seed ^ _scrambled(sample)) ^ step) ^ stream)
    bits = [_scrambled(key ^ k) for k in range(n)]
    u = np.array([((b >> 32) + 0.5) * 2.0**-32 for b in bits])
    phase = np.array([(b & 0xFFFFFFFF) * 2.0**-32 for b in bits])
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * phase)
