r"""Random manifolds: the spike times of each class lie on a smooth random surface.

Each input spikes once. A point x of a class, uniform in [0, 1]^D, gives input i the
time

    f_i(x) = prod_d sum_k A_idk (k + 1)^-alpha sin(2 pi (k x_d B_idk + C_idk))

with A, B, C uniform in [0, 1] for each class and k from 1 to where (k + 1)^-alpha is a
thousandth, or 999. The times of a class and input are scaled to their range. The larger
alpha, the smoother the surface; the more dimensions D, the harder the task.

References
----------
Zenke & Vogels 2021, doi:10.1162/neco_a_01367.
"""

from __future__ import annotations

import math

import numpy as np
from brian2.units import Quantity, ms

from bsnn.equations.units import as_int, as_positive, positive_seconds
from bsnn.inputs.sources import Pairs
from bsnn.inputs.timed_dataset import TimedDataset

from .drawn import balanced_labels

SMALLEST, MOST = 1e-3, 1000  # amplitude, and number, of the components


def make(
    *,
    n_classes: int = 10,
    n_inputs: int = 20,
    n_dimensions: int = 2,
    alpha: float = 2.0,
    n_train: int = 5000,
    n_test: int = 1000,
    duration: Quantity = 50 * ms,
    seed: int = 0,
) -> TimedDataset:
    """Return the data set of `n_classes` random manifolds.

    Parameters
    ----------
    n_classes, n_inputs : int
    n_dimensions : int
        Of the manifolds.
    alpha : float
        Smoothness.
    n_train, n_test : int
        Samples.
    duration : Quantity
        Of a sample; all spikes come within it.
    seed : int

    Raises
    ------
    TypeError, ValueError
        If a size is none, or a number not positive.
    """
    n_classes, n_inputs, n_dimensions, n_train, n_test = (
        as_int(value, name, least=1)
        for value, name in (
            (n_classes, "n_classes"),
            (n_inputs, "n_inputs"),
            (n_dimensions, "n_dimensions"),
            (n_train, "n_train"),
            (n_test, "n_test"),
        )
    )
    alpha, seed = as_positive(alpha, "alpha"), as_int(seed, "seed", least=0)
    labels = [
        balanced_labels(n, n_classes, [seed, k])
        for k, n in enumerate((n_train, n_test))
    ]
    both = np.concatenate(labels)
    times = np.empty((len(both), n_inputs))
    for label in range(n_classes):
        rng = np.random.default_rng([seed, 2, label])
        surface = Surface(rng, n_inputs, n_dimensions, alpha)
        mine = both == label
        times[mine] = _scaled(surface(rng.random((mine.sum(), n_dimensions))))
    times *= np.nextafter(positive_seconds(duration, "duration"), 0)
    pairs = _OncePerInput(times[:n_train]), _OncePerInput(times[n_train:])
    train, test = (Pairs(part, n_inputs) for part in pairs)
    return TimedDataset(
        name="randman",
        title=f"Randman, {n_classes} classes of dimension {n_dimensions}",
        train=train,
        train_labels=labels[0],
        test=test,
        test_labels=labels[1],
        n_inputs=n_inputs,
        n_classes=n_classes,
        duration=duration,
    )


class Surface:
    """One smooth random function of `n_dimensions` variables for each input."""

    def __init__(self, rng, n_inputs, n_dimensions, alpha):
        n_components = min(math.ceil(SMALLEST ** (-1 / alpha)), MOST)
        self.k = np.arange(1, n_components)
        shape = (3, n_components - 1, n_inputs, n_dimensions)
        self.amplitude, self.stretch, self.phase = rng.random(shape)
        self.amplitude *= (self.k[:, None, None] + 1.0) ** -alpha

    def __call__(self, x):
        """Return the value at each point; x is (n, n_dimensions), it (n, n_inputs)."""
        total = np.zeros((len(x), *self.amplitude.shape[1:]))
        for k, amplitude, stretch, phase in zip(
            self.k, self.amplitude, self.stretch, self.phase, strict=True
        ):
            turns = k * x[:, None, :] * stretch + phase
            total += amplitude * np.sin(2 * np.pi * turns)
        return total.prod(axis=2)


class _OncePerInput:
    def __init__(self, times):
        self.times = times

    def __len__(self):
        return len(self.times)

    def __getitem__(self, m):
        return self.times[m], np.arange(self.times.shape[1])


def _scaled(values):
    """Return values scaled to 0..1 in each column; a lone one lies in the middle."""
    if len(values) < 2:
        return np.full_like(values, 0.5)
    low, high = values.min(axis=0), values.max(axis=0)
    return (values - low) / (high - low)
