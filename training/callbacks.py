"""What a training calls after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class EpochEnd:
    """An epoch that is done and saved, as callbacks get it.

    Parameters
    ----------
    epoch : int
        Its number; the first is 1.
    rows : list of dict
        Those of metrics.csv so far, two an epoch: its training, then the samples that
        were looked at after it (`split` "validation" or "test").
    network : SpikingNetwork or DerivedNetwork
        With the weights after that epoch. What is changed in it is trained on.
    """

    epoch: int
    rows: list[dict]
    network: torch.nn.Module


def as_callbacks(callbacks) -> list:
    """Return callbacks as a list; a single one will do.

    Raises
    ------
    TypeError
        If one cannot be called.
    """
    given = [callbacks] if callable(callbacks) else callbacks
    if isinstance(given, (list, tuple)) and all(map(callable, given)):
        return [*given]
    raise TypeError(
        f"'callbacks' must be functions of an EpochEnd, in a list, got {callbacks!r}."
    )


def ends(callbacks: Sequence[Callable[[EpochEnd], object]], end: EpochEnd) -> bool:
    """Call each, in order; return whether one of them returned True."""
    return any([callback(end) is True for callback in callbacks])
