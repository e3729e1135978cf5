"""Samples as a training takes them: labels, and spikes of those that are asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .numbers import with_numbers

if TYPE_CHECKING:  # `bsnn doctor` loads data sets and copes without Brian2
    from bsnn.model import Model
    from bsnn.spikes import Spikes

    from .sources import Source


class Samples(Protocol):
    """What training and testing ask of data, whatever it is made of.

    Parameters
    ----------
    labels : ndarray, shape (n_samples,), int64
    """

    labels: np.ndarray

    def __len__(self) -> int: ...

    def spikes(self, indices: np.ndarray) -> Spikes:
        """Return the input spikes of some samples, in the order of their indices.

        It is called in another thread, while other samples are simulated.
        """
        ...


@dataclass(frozen=True, eq=False)
class ChosenSamples:
    """Some of the samples of another.

    Parameters
    ----------
    samples : Samples
    indices : ndarray, shape (n_chosen,), int
    """

    samples: Samples
    indices: np.ndarray

    @functools.cached_property
    def labels(self) -> np.ndarray:
        return self.samples.labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def spikes(self, indices: np.ndarray) -> Spikes:
        return self.samples.spikes(self.indices[indices])


def held_out(
    labels: np.ndarray, share: float, seed: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of samples to train on, and of those for validation.

    Of each class the same share is held out, to one sample: its last samples, or some
    drawn with a seed.

    Parameters
    ----------
    labels : ndarray, shape (n_samples,), int
    share : float
        In 0..1; with 0 there are none for validation.
    seed : int, optional

    Raises
    ------
    ValueError
        If a class would have no samples left.
    """
    classes, n_of_each = np.unique(labels, return_counts=True)
    quotas = share * n_of_each
    n_held_out = np.floor(quotas).astype(int)
    # What the floors leave of the whole goes to the largest remainders.
    left = math.ceil(share * len(labels)) - n_held_out.sum()
    n_held_out[np.argsort(n_held_out - quotas, kind="stable")[:left]] += 1
    if (n_held_out >= n_of_each).any():
        raise ValueError(
            f"'validation' must leave samples of each class to train on, {share} of "
            f"{len(labels)} samples does not; give a smaller share, or 0 to test "
            "after each epoch."
        )
    chosen = np.zeros(len(labels), bool)
    rng = None if seed is None else np.random.default_rng(seed)
    for label, n in zip(classes, n_held_out, strict=True):
        (of_class,) = np.nonzero(labels == label)
        if rng is not None:
            rng.shuffle(of_class)
        chosen[of_class[len(of_class) - n :]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def own_validation(dataset, share: float, seed: int | None) -> bool:
    """Return whether a data set's own samples for validation are to be used.

    Raises
    ------
    ValueError
        If others are to be drawn with a seed.
    """
    if not share or getattr(dataset, "validation", None) is None:
        return False
    if seed is not None:
        raise ValueError(
            f"'validation_seed' must be left out, got {seed}: {dataset.title} has "
            "samples of its own for validation."
        )
    return True


@dataclass(frozen=True, eq=False)
class ImageSamples:
    """Images, or features, that become spikes when they are asked for.

    Parameters
    ----------
    images : ndarray, shape (n_samples, ...)
    labels : ndarray, shape (n_samples,), int64
    encode : callable
        ``encode(images, model)`` returns their spikes, such as `encode_ttfs`.
    model : Model
    first : int
        Number of the first sample, see `bsnn.inputs.numbers`.
    """

    images: np.ndarray
    labels: np.ndarray
    encode: Callable[[np.ndarray, Model], Spikes]
    model: Model
    first: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def spikes(self, indices: np.ndarray) -> Spikes:
        return self.encode_images(self.images[indices], indices)

    def encode_images(self, images: np.ndarray, indices: np.ndarray) -> Spikes:
        """Return the input spikes of some samples whose images are others."""
        numbers = self.first + np.asarray(indices)
        return self.encode(with_numbers(images, numbers), self.model)


@dataclass(frozen=True, eq=False)
class TimedSamples:
    """Samples of a `Source` that become spikes when they are asked for.

    Parameters
    ----------
    source : Source
    labels : ndarray, shape (n_samples,), int64
    encode : callable
        ``encode(values, model)`` returns the spikes of what the source holds, such as
        the codes in `bsnn.inputs.codes`.
    model : Model
    first : int
        Number of the first sample, see `bsnn.inputs.numbers`.
    """

    source: Source
    labels: np.ndarray
    encode: Callable[..., Spikes]
    model: Model
    first: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def spikes(self, indices: np.ndarray) -> Spikes:
        indices = np.asarray(indices)
        values = self.source.take(indices)
        return self.encode(values.numbered(self.first + indices), self.model)
