"""Sequence detection: do the symbols 0, 1, 2, ... come one right after another?

In each slot of time one group of inputs fires, for one of some symbols. In samples of
class 1 the first `length` symbols follow one another somewhere, in order. Samples of
class 0 are such samples in another order, in which they do not: only the order tells.
"""

from __future__ import annotations

import numpy as np
from brian2.units import Hz, Quantity, ms

from bsnn.equations.units import as_int
from bsnn.inputs.timed_dataset import TimedDataset

from .drawn import drawn_in_slots


def make(
    *,
    n_symbols: int = 4,
    length: int = 3,
    n_slots: int = 8,
    group_size: int = 5,
    rate: Quantity = 100 * Hz,
    slot: Quantity = 50 * ms,
    n_train: int = 2000,
    n_test: int = 1000,
    seed: int = 0,
) -> TimedDataset:
    """Return the data set of a group of inputs for each symbol.

    Parameters
    ----------
    n_symbols : int
    length : int
        Of the sequence to be detected, 2..n_symbols.
    n_slots : int
        Of a sample, at least `length`.
    group_size : int
        Inputs of a group.
    rate : Quantity
        At which the inputs of a group fire that is active.
    slot : Quantity
        Length of a slot.
    n_train, n_test : int
        Samples.
    seed : int

    Raises
    ------
    TypeError, ValueError
        If a size is none, or the sequence too long.
    """
    n_symbols = as_int(n_symbols, "n_symbols", least=2)
    length = as_int(length, "length", least=2)
    n_slots = as_int(n_slots, "n_slots", least=2)
    if length > min(n_symbols, n_slots):
        raise ValueError(
            f"'length' must be at most 'n_symbols' and 'n_slots', {n_symbols} and "
            f"{n_slots}, got {length}."
        )

    def draw_active(rng, label):
        symbols = draw_symbols(rng, label, n_symbols, length, n_slots)
        return symbols[:, None] == np.arange(n_symbols)

    return drawn_in_slots(
        draw_active,
        name="sequence",
        title="Sequence detection",
        n_groups=n_symbols,
        n_slots=n_slots,
        group_size=group_size,
        rate=rate,
        slot=slot,
        n_classes=2,
        n_train=n_train,
        n_test=n_test,
        seed=seed,
    )


def draw_symbols(rng, label, n_symbols, length, n_slots):
    """Return the symbol of each slot; shape (n_slots,), int64."""
    symbols = rng.integers(n_symbols, size=n_slots)
    start = rng.integers(n_slots - length + 1)
    symbols[start : start + length] = np.arange(length)
    while not label and contains(symbols, length):
        symbols = rng.permutation(symbols)
    return symbols


def contains(symbols, length):
    """Return whether 0, 1, ..., length - 1 follow one another somewhere."""
    windows = np.lib.stride_tricks.sliding_window_view(symbols, length)
    return bool((windows == np.arange(length)).all(axis=1).any())
