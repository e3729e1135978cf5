"""Training images moved at random: what is learned must not hang on a pixel's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .samples import ImageSamples

if TYPE_CHECKING:  # as in `samples`
    from bsnn.spikes import Spikes


def check_shift(max_shift: int, dataset) -> None:
    """Refuse to move what has no rows and columns, or moves out of the image.

    Raises
    ------
    ValueError
    """
    if not max_shift:
        return
    shape = np.shape(getattr(dataset, "train_images", ()))[1:]
    if len(shape) != 2:
        raise ValueError(
            "'max_shift' must be 0 where samples are no images of rows and columns, as "
            f"those of {dataset.title}, got {max_shift!r}."
        )
    if max_shift >= min(shape):
        raise ValueError(
            f"'max_shift' must be less than the {min(shape)} pixels of an image of "
            f"{dataset.title}, got {max_shift!r}."
        )


@dataclass(frozen=True, eq=False)
class ShiftedSamples:
    """Images, each moved by whole pixels; what comes in from outside is 0.

    Parameters
    ----------
    samples : ImageSamples
    shifts : ndarray, shape (n_samples, 2), int
        Of each image, downwards and to the right.
    """

    samples: ImageSamples
    shifts: np.ndarray

    @classmethod
    def drawn(cls, samples: ImageSamples, max_shift: int, seed) -> ShiftedSamples:
        """Draw shifts of at most `max_shift` pixels, all equally likely.

        Parameters
        ----------
        samples : ImageSamples
        max_shift : int
        seed : int or sequence of int
            The same seed gives a sample the same shift, whatever the batches.
        """
        size = len(samples), 2
        rng = np.random.default_rng(seed)
        return cls(samples, rng.integers(-max_shift, max_shift, size, endpoint=True))

    @property
    def labels(self) -> np.ndarray:
        return self.samples.labels

    def __len__(self) -> int:
        return len(self.samples)

    def spikes(self, indices: np.ndarray) -> Spikes:
        images = moved(self.samples.images[indices], self.shifts[indices])
        return self.samples.encode_images(images, indices)


def moved(images: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return images of shape (n_images, n_rows, n_columns), each after its shift."""
    n_images, n_rows, n_columns = images.shape
    margin = np.abs(shifts).max(initial=0)
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
    rows = margin + np.arange(n_rows) - shifts[:, :1]
    columns = margin + np.arange(n_columns) - shifts[:, 1:]
    image = np.arange(n_images)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]]
