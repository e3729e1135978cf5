"""Time in bins of dt: how many there are, which one a time is in, where it ends."""

import math

import numpy as np

# Brian2 bins the times of a SpikeGeneratorGroup with this shift, in units of dt, so
# that a time written as n*dt falls into bin n in spite of rounding.
BIN_SHIFT = 1e-3


def count_steps(duration: float, dt: float) -> int:
    """Return how many whole bins of `dt` seconds cover `duration` seconds."""
    return math.ceil(duration / dt - 1e-9)


def bin_index(time, dt: float) -> np.ndarray:
    """Return the index (int64) of the bin each `time` falls in; both in seconds."""
    return np.floor(np.asarray(time) / dt + BIN_SHIFT).astype(np.int64)


def delivery_time(step, dt: float):
    """Return the time in seconds at which a spike of bin `step` takes effect."""
    return (step + 1) * dt
