"""Sound of several samples: waves of one sampling rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from brian2.units import Quantity
from numpy.typing import ArrayLike

from bsnn.equations.units import as_positive, in_hertz
from bsnn.outside import fixed, floats

from .mel import Mel
from .numbers import Numbered, name_of
from .series import Series


@dataclass(frozen=True, kw_only=True, eq=False)
class Waves(Numbered):
    """Sound of some samples; the cochlea hears it, other codes see its mel bands.

    Parameters
    ----------
    waves : sequence of array_like, shape (n,)
        Sound pressure of each sample, in any unit.
    rate : Quantity or float
        Sampling rate, Hz.
    mel : Mel
        How `series` is made of them.
    number : ndarray, shape (n_samples,), int64, optional
        What each sample is called in error messages, and what seeds its random numbers;
        unless given, its place.

    Raises
    ------
    TypeError
        If a wave holds no numbers.
    ValueError
        If a wave is empty, not one-dimensional or not finite, or `rate` not positive.
    """

    waves: Sequence[ArrayLike]
    rate: float | Quantity
    mel: Mel = Mel()
    number: np.ndarray | None = None

    def __post_init__(self):
        number = self.number
        if number is None:
            number = np.arange(len(self.waves))
        waves = tuple(
            _checked(wave, int(n)) for wave, n in zip(self.waves, number, strict=True)
        )
        rate = as_positive(in_hertz(self.rate, "rate"), "rate")
        self.__dict__.update(waves=waves, rate=rate, number=number)

    def __repr__(self):
        return f"Waves(n_samples={len(self)}, rate={self.rate:g} Hz)"

    def __len__(self) -> int:
        return len(self.waves)

    def series(self) -> Series:
        """Return the loudness of each mel band over time, 0..1."""
        return Series(
            frames=[self.mel.loudness(wave, self.rate) for wave in self.waves],
            step=self.mel.frame,
            low=0.0,
            high=1.0,
            number=self.number,
        )


def _checked(wave, number):
    array = floats(wave, "waves")
    if array.ndim != 1:
        hint = "; take one channel, or their mean" if array.ndim == 2 else ""
        raise ValueError(
            f"'waves' must be one-dimensional each, got shape {array.shape} of "
            f"{name_of(number)}{hint}."
        )
    if not array.size:
        raise ValueError(
            f"'waves' must not be empty, got {name_of(number)} without sound; leave it "
            "out."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"'waves' must be finite, got {name_of(number)} that is not.")
    return fixed(array)
