r"""What a spike at continuous time t becomes on a grid of step dt.

Every rule delivers a spike at the end of the bin it falls in, (floor(t/dt) + 1) dt.

`grid`
    The clock-driven simulator: the potential is tested at the end of each bin, and the
    spike and its reset belong to that instant. At most one spike per neuron and bin.
    With detect="crossing" a neuron also fires when its potential reached the threshold
    inside the bin and fell back before its end.
`quantised-event`
    The neuron is solved in continuous time and reset at the crossing; only what it
    sends moves to the end of the bin, and its next crossing must come after that.
`continuous`
    Event-driven and exact; nothing is quantised (dt = 0).
"""

import math

import numpy as np

GRID, QUANTISED_EVENT, CONTINUOUS = "grid", "quantised-event", "continuous"
RULES = (GRID, QUANTISED_EVENT, CONTINUOUS)
DETECT = ("end", "crossing")

# Brian2 bins the times of a SpikeGeneratorGroup with this shift, in units of dt, so
# that a time written as n*dt falls into bin n in spite of rounding.
BIN_SHIFT = 1e-3


def count_steps(duration, dt):
    """Return how many whole bins of `dt` seconds cover `duration` seconds."""
    return math.ceil(duration / dt - 1e-9)


def bin_index(time, dt):
    """Return the index (int64) of the bin each `time` falls in; both in seconds."""
    return np.floor(np.asarray(time) / dt + BIN_SHIFT).astype(np.int64)


def delivery_time(step, dt):
    """Return the time in seconds at which a spike of bin `step` takes effect."""
    return (step + 1) * dt
