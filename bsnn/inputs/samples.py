"""Samples as a training takes them: labels, and spikes of those that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:  # `bsnn doctor` loads data sets and copes without Brian2
    from bsnn.model import Model
    from bsnn.spikes import Spikes


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
    """

    images: np.ndarray
    labels: np.ndarray
    encode: Callable[[np.ndarray, Model], Spikes]
    model: Model

    def __len__(self) -> int:
        return len(self.labels)

    def spikes(self, indices: np.ndarray) -> Spikes:
        return self.encode(self.images[indices], self.model)
