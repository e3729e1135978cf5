"""Samples as a training takes them: labels, and spikes of those that are asked for."""

from __future__ import annotations

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
        images = with_numbers(self.images[indices], self.first + np.asarray(indices))
        return self.encode(images, self.model)


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
