"""Where the samples of a data set come from, taken a batch at a time."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from brian2.units import Quantity
from numpy.typing import ArrayLike

from bsnn.equations.units import plain_seconds
from bsnn.outside import plain_array

from .events import Events, as_pair
from .series import Series
from .waves import Waves


class Source(Protocol):
    """Samples of one split, which need not all be in memory."""

    def __len__(self) -> int: ...

    def take(self, places: np.ndarray) -> Events | Series | Waves:
        """Return some samples, in the order of their places."""
        ...


class Head:
    """The first samples of another source."""

    def __init__(self, source: Source, n_samples: int):
        self.source, self.n_samples = source, n_samples

    def __len__(self):
        return self.n_samples

    def take(self, places):
        return self.source.take(places)


class Pairs:
    """Samples that are (t, i) pairs of times and channels, read when they are taken.

    Parameters
    ----------
    pairs : sequence of pairs
        Anything with ``len(pairs)`` and ``pairs[m]``.
    n_channels : int
    allow_empty : bool
        Whether a sample may have no events.
    """

    def __init__(self, pairs: Sequence, n_channels: int, *, allow_empty: bool = False):
        self.pairs, self.n_channels = pairs, n_channels
        self.allow_empty = allow_empty

    def __len__(self):
        return len(self.pairs)

    def take(self, places):
        taken = [as_pair(self.pairs[int(m)], int(m)) for m in places]
        times = [time for time, _ in taken]
        events = Events(
            time=np.concatenate([np.empty(0), *times]),
            channel=np.concatenate([np.empty(0, np.int64), *(i for _, i in taken)]),
            offset=np.cumsum([0, *map(len, times)]),
            n_channels=self.n_channels,
            number=np.asarray(places),
        )
        if not self.allow_empty:
            refuse_empty(events)
        return events


class Sequences:
    """Samples that are arrays of frames, all in memory.

    Parameters
    ----------
    frames : sequence of array_like, shape (n_frames, n_features)
    step : Quantity
        Length of a frame.
    low, high : array_like, shape (n_features,)
        The range of each feature.

    Raises
    ------
    TypeError, ValueError
        As `Series`.
    """

    def __init__(self, frames: Sequence, step: Quantity, low, high):
        self.series = Series(frames=frames, step=step, low=low, high=high)

    def __len__(self):
        return len(self.series)

    def take(self, places):
        frames = [self.series.frames[int(m)] for m in places]
        return replace(self.series, frames=frames, number=np.asarray(places))


class Windows:
    """Samples cut out of one long recording, of which only they are read.

    Parameters
    ----------
    t : array_like, shape (n_events,), float or Quantity
        In units of `unit`, in order; an ``np.memmap`` stays on disk.
    i : array_like, shape (n_events,), int
        Channel of each event.
    start : array_like, shape (n_samples,), float or Quantity
        When each sample begins, seconds.
    duration : float
        Of a sample, seconds.
    n_channels : int
    unit : float
        Seconds.
    allow_empty : bool

    Raises
    ------
    TypeError, ValueError
        If the arrays do not fit together, or times are not in order.
    """

    def __init__(
        self,
        t: ArrayLike,
        i: ArrayLike,
        start: ArrayLike,
        duration: float,
        n_channels: int,
        *,
        unit: float = 1.0,
        allow_empty: bool = False,
    ):
        self.unit = unit
        self.time = plain_array(plain_seconds(t, "t", bare=True), "t")
        self.channel = plain_array(i, "i")
        if self.time.ndim != 1 or self.time.shape != self.channel.shape:
            raise ValueError(
                "'t' and 'i' must be one-dimensional and equally long, got shapes "
                f"{self.time.shape} and {self.channel.shape}."
            )
        self.start = np.asarray(plain_seconds(start, "start", bare=True), float)
        if self.start.ndim != 1 or not np.isfinite(self.start).all():
            raise ValueError(
                "'start' must be a list of finite times, one for each sample, got "
                f"{start!r}."
            )
        self._check_order()
        self.duration, self.n_channels = duration, n_channels
        self.allow_empty = allow_empty
        # NumPy's search would copy times of another kind than float64, all of them.
        self.edges = np.array(
            [
                [bisect.bisect_left(self.time, end / unit) for end in ends]
                for ends in (self.start, self.start + duration)
            ]
        )

    def __len__(self):
        return len(self.start)

    def take(self, places):
        first, last = self.edges[:, places]
        parts = [slice(*ends) for ends in zip(first, last, strict=True)]
        starts, last_moment = self.start[places], np.nextafter(self.duration, 0)
        times = [
            self.time[p] * self.unit - s for p, s in zip(parts, starts, strict=True)
        ]
        events = Events(
            # Rounding must not put a time outside of its window.
            time=np.clip(np.concatenate([np.empty(0), *times]), 0, last_moment),
            channel=np.concatenate(
                [np.empty(0, np.int64), *(self.channel[p] for p in parts)]
            ),
            offset=np.cumsum([0, *(last - first)]),
            n_channels=self.n_channels,
            number=np.asarray(places),
        )
        if not self.allow_empty:
            refuse_empty(events)
        return events

    def _check_order(self, piece=1 << 22):
        """Raise ValueError unless times rise; read piecewise, for they may be many."""
        for at in range(0, len(self.time), piece):
            part = self.time[at : at + piece + 1]
            if not np.isfinite(part).all() or (np.diff(part) < 0).any():
                raise ValueError(
                    "'t' of a recording must be finite and in order; sort it, and "
                    "'i' with it."
                )


def refuse_empty(events):
    """Raise ValueError if a sample has no events."""
    empty = events.first_empty()
    if empty is not None:
        raise ValueError(
            f"sample {empty} has no events; leave it out, or say allow_empty=True if "
            "silence is meant."
        )
