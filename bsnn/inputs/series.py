"""Values over time of several samples: sequences of frames, each held for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from brian2.units import Quantity
from numpy.typing import ArrayLike

from bsnn.equations.units import positive_seconds
from bsnn.outside import fixed, floats

from .numbers import Numbered


@dataclass(frozen=True, kw_only=True, eq=False)
class Series(Numbered):
    """Frames of some samples, one after another; a code makes `Spikes` of them.

    Parameters
    ----------
    frames : sequence of array_like, shape (n_frames, n_features)
        Of each sample. Frame k lasts from ``k*step`` to ``(k + 1)*step``.
    step : Quantity
        Length of a frame.
    low, high : float or array_like, shape (n_features,), optional
        The range of each feature, by which codes scale it; known unless the numbers
        are used as they are.
    number : ndarray, shape (n_samples,), int64, optional
        What each sample is called in error messages, and what seeds its random numbers;
        unless given, its place.

    Raises
    ------
    TypeError
        If a sample holds no numbers, or `step` is a bare number.
    ValueError
        If a sample has no frames or another number of features, or a number is not
        finite; `low` must be less than `high`.
    """

    frames: Sequence[np.ndarray]
    step: Quantity
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    number: np.ndarray | None = None

    def __post_init__(self):
        positive_seconds(self.step, "step")
        number = self.number
        if number is None:
            number = np.arange(len(self.frames))
        frames = tuple(
            checked_frames(f, n) for f, n in zip(self.frames, number, strict=True)
        )
        for f, n in zip(frames, number, strict=True):
            if f.shape[1] != frames[0].shape[1]:
                raise ValueError(
                    f"sample {n} must have {frames[0].shape[1]} features as the first, "
                    f"got {f.shape[1]}."
                )
        self.__dict__.update(frames=frames, number=number)
        if (self.low is None) != (self.high is None):
            raise ValueError("'low' and 'high' must be given together, got one alone.")
        if self.low is not None:
            low, high = checked_range(self.low, self.high, self.n_features)
            self.__dict__.update(low=low, high=high)

    def __repr__(self):
        return (
            f"Series(n_samples={len(self)}, n_features={self.n_features}, "
            f"step={1e3 * self.step_seconds:g} ms)"
        )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def n_features(self) -> int:
        return self.frames[0].shape[1] if self.frames else 0

    @property
    def step_seconds(self) -> float:
        return positive_seconds(self.step, "step")


def checked_frames(frames, m) -> np.ndarray:
    """Return the frames of sample `m` as float64.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If there are none, or one is not finite, or they have another number of axes.
    """
    array = floats(frames, f"frames of sample {m}")
    if array.ndim != 2:
        hint = "; one feature is [:, None]" if array.ndim == 1 else ""
        raise ValueError(
            f"sample {m} must have shape (n_frames, n_features), got "
            f"{array.shape}{hint}."
        )
    if not array.size:
        raise ValueError(
            f"sample {m} must have frames and features, got shape {array.shape}; leave "
            "it out."
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"sample {m} must hold finite numbers, got {array[~np.isfinite(array)][0]}"
            "; cut off what pads it, or fill what is missing."
        )
    return fixed(array)


def checked_range(low: ArrayLike, high: ArrayLike, n_features: int):
    """Return the range of each feature as two arrays of shape (n_features,)."""
    ends = []
    for end, name in ((low, "low"), (high, "high")):
        array = floats(end, name)
        if array.shape not in ((), (n_features,)) or not np.isfinite(array).all():
            raise ValueError(
                f"'{name}' must be a finite number, or one for each of {n_features} "
                f"features, got {end!r}."
            )
        ends.append(fixed(np.broadcast_to(array, n_features)))
    low, high = ends
    if not (low < high).all():
        k = int((low < high).argmin())
        raise ValueError(
            f"'low' must be less than 'high', got {low[k]} and {high[k]} of feature "
            f"{k}; leave a feature out that never changes."
        )
    return low, high
