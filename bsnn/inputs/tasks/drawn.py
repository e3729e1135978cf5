"""Samples that are drawn when they are asked for: no size is too large for memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from brian2.units import Quantity

from bsnn.equations.units import as_int, as_positive, in_hertz, positive_seconds
from bsnn.inputs.events import Events
from bsnn.inputs.numbers import FIRST_OF_TEST
from bsnn.inputs.poisson import poisson_events
from bsnn.inputs.timed_dataset import TimedDataset


class Drawn:
    """Samples of one split, each drawn with a generator of its own.

    Parameters
    ----------
    labels : ndarray, shape (n_samples,), int64
    draw : callable
        ``draw(rng, label)`` returns times, in seconds, and channels of the events.
    n_channels : int
    seed : int
    first : int
        Number of the first sample, see `bsnn.inputs.numbers`.
    """

    def __init__(
        self, labels: np.ndarray, draw: Callable, n_channels: int, seed: int, first: int
    ):
        self.labels, self.draw, self.n_channels = labels, draw, n_channels
        self.seed, self.first = seed, first

    def __len__(self):
        return len(self.labels)

    def take(self, places):
        pairs = []
        for m in map(int, places):
            rng = np.random.default_rng([self.seed, self.first + m])
            pairs.append(self.draw(rng, self.labels[m]))
        return Events.from_pairs(pairs, n_channels=self.n_channels)


def drawn_dataset(
    draw: Callable,
    *,
    name: str,
    title: str,
    n_channels: int,
    n_classes: int,
    duration: Quantity,
    n_train: int,
    n_test: int,
    seed: int,
) -> TimedDataset:
    """Return the data set of a task whose samples `draw` draws, as for `Drawn`."""
    seed, splits = as_int(seed, "seed", least=0), {}
    for split, n_samples, first in (
        ("train", n_train, 0),
        ("test", n_test, FIRST_OF_TEST),
    ):
        n_samples = as_int(n_samples, f"n_{split}", least=1)
        labels = balanced_labels(n_samples, n_classes, [seed, first, 1])
        splits[split] = Drawn(labels, draw, n_channels, seed, first)
        splits[f"{split}_labels"] = labels
    return TimedDataset(
        name=name,
        title=title,
        n_inputs=n_channels,
        n_classes=n_classes,
        duration=duration,
        **splits,
    )


def drawn_in_slots(
    draw_active: Callable,
    *,
    n_groups: int,
    n_slots: int,
    group_size: int,
    rate: Quantity,
    slot: Quantity,
    **named,
) -> TimedDataset:
    """Return the data set of groups of inputs that are active in slots of time.

    Parameters
    ----------
    draw_active : callable
        ``draw_active(rng, label)`` returns which groups are active in each slot, shape
        (n_slots, n_groups), bool.
    n_groups, n_slots : int
    group_size : int
        Inputs of a group.
    rate : Quantity
        At which the inputs of an active group fire.
    slot : Quantity
        Length of a slot.
    **named
        The others that `drawn_dataset` takes.
    """
    group_size = as_int(group_size, "group_size", least=1)
    hertz = as_positive(in_hertz(rate, "rate"), "rate")
    seconds = positive_seconds(slot, "slot")

    def draw(rng, label):
        rates = draw_active(rng, label) * hertz
        return poisson_events(rng, np.repeat(rates, group_size, 1), seconds)

    n_channels, duration = n_groups * group_size, n_slots * slot
    return drawn_dataset(draw, n_channels=n_channels, duration=duration, **named)


def balanced_labels(n_samples, n_classes, seed):
    """Return labels in random order, whose numbers differ by 1 at most."""
    return np.random.default_rng(seed).permutation(np.arange(n_samples) % n_classes)
