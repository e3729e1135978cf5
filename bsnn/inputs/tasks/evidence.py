"""Evidence accumulation: did more cues come on the left or on the right?

Cues come one after another, each on one side: a group of inputs fires. After a delay a
group fires that asks for the decision; another fires at random all the time. The class
is the side of most cues, 0 for left, 1 for right.

References
----------
Morcos & Harvey 2016, doi:10.1038/nn.4403 (mice); Bellec et al. 2020,
doi:10.1038/s41467-020-17236-y (spiking networks).
"""

from __future__ import annotations

import numpy as np
from brian2.units import Hz, Quantity, ms

from bsnn.equations.units import as_int, as_positive, in_hertz, positive_seconds
from bsnn.inputs.poisson import poisson_events
from bsnn.inputs.timed_dataset import TimedDataset

from .drawn import drawn_dataset

RECALL, NOISE, N_GROUPS = 2, 3, 4  # groups; 0 and 1 are the sides'


def make(
    *,
    n_cues: int = 7,
    bias: float = 0.7,
    group_size: int = 10,
    rate: Quantity = 40 * Hz,
    noise: Quantity = 10 * Hz,
    cue: Quantity = 100 * ms,
    gap: Quantity = 50 * ms,
    delay: Quantity = 1000 * ms,
    recall: Quantity = 150 * ms,
    n_train: int = 1000,
    n_test: int = 500,
    seed: int = 0,
) -> TimedDataset:
    """Return the data set of `N_GROUPS` groups of inputs.

    Parameters
    ----------
    n_cues : int
        Of a sample; an odd number, so that one side has more.
    bias : float
        Probability that a cue comes on the side of the class, before those samples are
        drawn again in which the other has more; 0.5..1.
    group_size : int
        Inputs of a group.
    rate, noise : Quantity
        At which inputs of an active group fire, and those of the random one.
    cue, gap : Quantity
        Length of a cue, and from its end to the next one.
    delay, recall : Quantity
        From the last gap to the recall, and its length.
    n_train, n_test : int
        Samples.
    seed : int

    Raises
    ------
    TypeError, ValueError
        If a size is none, a time not positive, or the number of cues even.
    """
    n_cues = as_int(n_cues, "n_cues", least=1)
    group_size = as_int(group_size, "group_size", least=1)
    if n_cues % 2 == 0:
        raise ValueError(f"'n_cues' must be odd, got {n_cues}: no side may have half.")
    bias = as_positive(bias, "bias")
    if not 0.5 <= bias <= 1:
        raise ValueError(f"'bias' must lie in 0.5..1, got {bias}.")
    active, noisy = (
        as_positive(in_hertz(value, name), name)
        for value, name in ((rate, "rate"), (noise, "noise"))
    )
    lengths = {"cue": cue, "gap": gap, "delay": delay, "recall": recall}
    seconds = {name: positive_seconds(time, name) for name, time in lengths.items()}

    def draw(rng, label):
        sides = draw_sides(rng, label, n_cues, bias)
        every = seconds["cue"] + seconds["gap"]
        asked = n_cues * every + seconds["delay"]
        parts = [(side, k * every, "cue", active) for k, side in enumerate(sides)]
        parts += [(RECALL, asked, "recall", active)]
        pairs = []
        for group, start, length, hertz in parts:
            one = np.full((1, group_size), hertz)
            time, channel = poisson_events(rng, one, seconds[length])
            pairs.append((start + time, group * group_size + channel))
        whole = asked + seconds["recall"]
        time, channel = poisson_events(rng, np.full((1, group_size), noisy), whole)
        pairs.append((time, NOISE * group_size + channel))
        return tuple(np.concatenate(part) for part in zip(*pairs, strict=True))

    return drawn_dataset(
        draw,
        name="evidence",
        title="Evidence accumulation",
        n_channels=N_GROUPS * group_size,
        n_classes=2,
        duration=n_cues * (cue + gap) + delay + recall,
        n_train=n_train,
        n_test=n_test,
        seed=seed,
    )


def draw_sides(rng, label, n_cues, bias):
    """Return the side of each cue, most of them `label`; shape (n_cues,), int64."""
    while True:
        right = rng.random(n_cues) < (bias if label else 1 - bias)
        if (2 * right.sum() > n_cues) == bool(label):
            return right.astype(np.int64)
