"""Samples of the library tonic: pairs of an array of events and a target."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bsnn.equations.units import as_int


class TonicPairs:
    """A data set of tonic's as (t, i) pairs, read when a sample is asked for.

    An event at pixel (x, y) of polarity p belongs to the channel
    ``(p*height + y)*width + x``.

    Parameters
    ----------
    dataset : sequence of (events, target)
        Events have the fields ``t``, ``x`` and, where the sensor has them, ``y`` and
        ``p``.
    sensor_size : sequence of int, optional
        Width, height and number of polarities; ``dataset.sensor_size`` unless given.
    unit : float
        Of `t`, seconds.

    Raises
    ------
    TypeError, ValueError
        If `sensor_size` is missing or none.
    """

    def __init__(self, dataset: Sequence, sensor_size=None, unit: float = 1e-6):
        if sensor_size is None:
            sensor_size = getattr(dataset, "sensor_size", None)
        if sensor_size is None or len(sensor_size) != 3:
            raise ValueError(
                "'sensor_size' must be (width, height, polarities), got "
                f"{sensor_size!r}; give it where the data set has none."
            )
        self.size = [as_int(n, "sensor_size", least=1) for n in sensor_size]
        self.dataset, self.unit = dataset, unit

    def __len__(self):
        return len(self.dataset)

    @property
    def n_channels(self) -> int:
        return math.prod(self.size)

    def __getitem__(self, m):
        events, _ = self._pair(m)
        fields = getattr(getattr(events, "dtype", None), "names", None) or ()
        if not {"t", "x"} <= set(fields):
            raise TypeError(
                f"sample {m} must be an array of events with the fields t and x, got "
                f"{', '.join(fields) or type(events).__name__}; leave transforms to "
                "frames out."
            )
        channel = np.zeros(len(events), np.int64)
        for name, size in zip("pyx", self.size[::-1], strict=True):
            # A sensor of one polarity, or one row, may call it anything.
            if size == 1:
                continue
            if name not in fields:
                raise TypeError(
                    f"sample {m} must have the field {name}, got {', '.join(fields)}; "
                    "'sensor_size' is that of other data."
                )
            place = events[name].astype(np.int64)
            if len(place) and not 0 <= place.min() <= place.max() < size:
                raise ValueError(
                    f"'{name}' of sample {m} must lie in 0..{size - 1}, got "
                    f"{place.min()}..{place.max()}; 'sensor_size' is that of other "
                    "data."
                )
            channel = channel * size + place
        return events["t"] * self.unit, channel

    def labels(self) -> np.ndarray:
        """Return the targets, of which there may be a list; else all is read."""
        targets = getattr(self.dataset, "targets", None)
        changed = getattr(self.dataset, "target_transform", None) is not None
        if targets is None or changed or len(targets) != len(self):
            targets = [self._pair(m)[1] for m in range(len(self))]
        return np.asarray(targets)

    def _pair(self, m):
        pair = self.dataset[m]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"sample {m} must be a pair (events, target), got "
                f"{type(pair).__name__}."
            )
        return pair
