"""Sizes of a data set, as its samples tell them."""

from __future__ import annotations

import math

import numpy as np
from brian2.units import Quantity, second

from bsnn.equations.units import as_int

from .sources import Source

MILLISECOND = 1e-3
SCANNED = 256  # samples looked at together


def last_event(source: Source) -> float:
    """Return the largest time of an event, in seconds, reading all samples."""
    places = np.arange(len(source))
    parts = (places[at : at + SCANNED] for at in range(0, len(places), SCANNED))
    return max((source.take(part).time.max(initial=0) for part in parts), default=0.0)


def next_millisecond(seconds: float) -> Quantity:
    """Return the first whole number of milliseconds after a time."""
    milliseconds = math.floor(seconds / MILLISECOND * (1 + 1e-12)) + 1
    return milliseconds * MILLISECOND * second


def as_n_classes(n_classes, *labels) -> int:
    """Return the number of classes, as given or as many as the labels say."""
    if n_classes is not None:
        return as_int(n_classes, "n_classes", least=1)
    arrays = [np.asarray(part) for part in labels]
    numbers = [a for a in arrays if a.size and a.dtype.kind in "iu"]
    return max((max(int(a.max()), 0) + 1 for a in numbers), default=1)
