"""Samples that are Neo's: a segment, or a list of spike trains, for each."""

from __future__ import annotations

import numpy as np


def as_pairs(samples, name: str):
    """Return samples as (t, i) pairs, their number of trains and their length.

    The place of a train in its sample is its channel. Times count from the trains'
    common start.

    Parameters
    ----------
    samples : sequence of neo.Segment, or of sequences of neo.SpikeTrain
    name : str
        The argument's name, for the error message.

    Returns
    -------
    pairs : list of (ndarray, ndarray)
        Seconds, and channels.
    n_trains : int
    longest : float
        From the start to the end of the longest sample, seconds.

    Raises
    ------
    TypeError
        If a sample holds anything else.
    ValueError
        If samples have different numbers of trains, or trains of a sample different
        starts.
    """
    pairs, sizes, longest = [], [], 0.0
    for m, sample in enumerate(samples):
        trains = list(getattr(sample, "spiketrains", sample))
        for train in trains:
            if not all(hasattr(train, a) for a in ("rescale", "t_start", "t_stop")):
                raise TypeError(
                    f"'{name}' must hold neo.SpikeTrain, or segments of them, got "
                    f"{type(train).__name__} in sample {m}."
                )
        if not trains:
            raise ValueError(f"sample {m} of '{name}' has no trains; leave it out.")
        starts = {_seconds(train.t_start) for train in trains}
        if len(starts) > 1:
            raise ValueError(
                f"the trains of sample {m} of '{name}' must have one t_start, got "
                f"{min(starts)} to {max(starts)} s; cut them with time_slice."
            )
        (start,) = starts
        longest = max(longest, max(_seconds(t.t_stop) for t in trains) - start)
        times = [np.asarray(t.rescale("s").magnitude, float) - start for t in trains]
        channel = np.repeat(np.arange(len(trains)), [len(t) for t in times])
        pairs.append((np.concatenate(times), channel))
        sizes.append(len(trains))
    if len(set(sizes)) > 1:
        m = next(m for m, size in enumerate(sizes) if size != sizes[0])
        raise ValueError(
            f"'{name}' must have as many spike trains in each sample, got {sizes[0]} "
            f"in sample 0 and {sizes[m]} in sample {m}; a silent one is an empty train."
        )
    return pairs, sizes[0] if sizes else 0, longest


def _seconds(quantity):
    return float(quantity.rescale("s").magnitude)
