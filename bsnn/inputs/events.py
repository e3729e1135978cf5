"""Recorded events of several samples: when, and in which channel; on no clock yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bsnn.equations.units import plain_seconds
from bsnn.outside import fixed, floats, indices, whole_number
from bsnn.sound import check_shapes

from .numbers import Numbered, name_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Events(Numbered):
    """Events of some samples, as they were recorded; a code makes `Spikes` of them.

    Parameters
    ----------
    time : array_like, shape (n_events,), float or Quantity
        Seconds since the start of the sample, in any order within it.
    channel : array_like, shape (n_events,), int
        In 0..n_channels-1.
    offset : array_like, shape (n_samples + 1,), int
        Sample m owns the events ``offset[m]:offset[m + 1]``.
    n_channels : int
    number : ndarray, shape (n_samples,), int64, optional
        What each sample is called in error messages, and what seeds its random numbers;
        unless given, its place.

    Raises
    ------
    TypeError
        If an array is of another kind.
    ValueError
        If the arrays do not fit together, or an event has no channel or no time.
    """

    time: np.ndarray
    channel: np.ndarray
    offset: np.ndarray
    n_channels: int
    number: np.ndarray | None = None

    def __post_init__(self):
        n_channels = whole_number(self.n_channels, "n_channels", 1)
        time = floats(plain_seconds(self.time, "time", bare=True), "time")
        channel = _whole(self.channel, "channel")
        check_shapes({"time": time, "channel": channel})
        offset = indices(self.offset, "offset", len(time) + 1)
        if offset.ndim != 1 or not offset.size or offset[0] or offset[-1] != len(time):
            raise ValueError(
                f"'offset' must go from 0 to the number of events, {len(time)}, got "
                f"{offset}."
            )
        if (np.diff(offset) < 0).any():
            raise ValueError("'offset' must not fall.")
        number = self.number
        if number is None:
            number = np.arange(len(offset) - 1)
        self.__dict__.update(
            time=fixed(time),
            channel=fixed(channel),
            offset=fixed(offset),
            n_channels=n_channels,
            number=number,
        )
        self._check_each()

    @classmethod
    def from_pairs(
        cls, pairs: Sequence[tuple[ArrayLike, ArrayLike]], *, n_channels: int
    ) -> Events:
        """Return the events of samples that are (t, i) pairs, times and channels.

        Raises
        ------
        TypeError, ValueError
            As the constructor; the sample is named.
        """
        times, channels = [], []
        for m, pair in enumerate(pairs):
            time, channel = as_pair(pair, m)
            times.append(time)
            channels.append(channel)
        return cls(
            time=np.concatenate([np.empty(0), *times]),
            channel=np.concatenate([np.empty(0, np.int64), *channels]),
            offset=np.cumsum([0, *map(len, times)]),
            n_channels=n_channels,
        )

    def __repr__(self):
        return (
            f"Events(n_events={len(self.time)}, n_samples={len(self)}, "
            f"n_channels={self.n_channels})"
        )

    def __len__(self) -> int:
        return len(self.offset) - 1

    @property
    def sample(self) -> np.ndarray:
        """Place of each event's sample; shape (n_events,), int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.offset))

    def sample_of(self, event: int) -> str:
        """Return what messages call the sample that an event belongs to."""
        place = np.searchsorted(self.offset, event, side="right") - 1
        return name_of(int(self.number[place]))

    def first_empty(self) -> int | None:
        """Return the number of the first sample without events, or None."""
        empty = np.flatnonzero(np.diff(self.offset) == 0)
        return int(self.number[empty[0]]) if empty.size else None

    def _check_each(self):
        good = self.time >= 0
        good &= self.time < np.inf
        if not good.all():
            k = int(good.argmin())
            raise ValueError(
                f"'time' must be finite and not negative, got {self.time[k]} s in "
                f"{self.sample_of(k)}; times count from the start of a sample."
            )
        good = (self.channel >= 0) & (self.channel < self.n_channels)
        if not good.all():
            k = int(good.argmin())
            raise ValueError(
                f"'channel' must lie in 0..{self.n_channels - 1}, got "
                f"{self.channel[k]} in {self.sample_of(k)}; 'n_channels' must "
                "be larger, or these events be left out."
            )


def as_pair(pair, m):
    """Return times in seconds and channels of sample `m`, given as (t, i)."""
    try:
        time, channel = pair
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"sample {m} must be a pair (t, i) of times and channels, got "
            f"{type(pair).__name__}."
        ) from error
    time = floats(plain_seconds(time, "t", bare=True), "t")
    channel = _whole(channel, "i")
    if time.ndim != 1 or time.shape != channel.shape:
        raise ValueError(
            f"'t' and 'i' of sample {m} must be one-dimensional and equally long, got "
            f"shapes {time.shape} and {channel.shape}."
        )
    return time, channel


def _whole(values, name):
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"'{name}' must hold int, got {array.dtype}.")
    return array.astype(np.int64)
