"""The images that a bench trains on."""

from dataclasses import dataclass

import numpy as np

from bsnn.errors import DataError
from bsnn.inputs.datasets import data_folder, load_dataset

SYNTHETIC_SPIKES = 150  # a sample, as MNIST has on average


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """Images and labels to measure with."""

    name: str
    images: np.ndarray
    labels: np.ndarray

    def batch(self, number, size):
        """Return the indices of a minibatch, beginning anew after the last image."""
        return np.arange(number * size, (number + 1) * size) % len(self.labels)


def load_workload(name, *, n_inputs, seed, data_dir=None):
    """Return the images to measure with.

    Parameters
    ----------
    name : {"mnist", "synthetic"} or None
        MNIST's test images, or drawn ones whose spikes are about as many and uniform
        over the time of encoding. None takes MNIST if it is in the data folder.
    n_inputs, seed : int
    data_dir : path, optional

    Raises
    ------
    DataError
        If MNIST was asked for and is not there.
    """
    if name is None:
        name = "mnist" if _has_mnist(data_dir) and n_inputs == 784 else "synthetic"
    if name == "mnist":
        dataset = load_dataset("mnist", data_dir=data_dir)
        return Workload(
            name=name, images=dataset.test_images, labels=dataset.test_labels
        )
    if name != "synthetic":
        raise ValueError(f"'workload' must be mnist or synthetic, got {name!r}.")
    rng = np.random.default_rng(seed)
    shape = (2000, n_inputs)
    lit = rng.random(shape) < min(SYNTHETIC_SPIKES / n_inputs, 0.5)
    images = np.where(lit, rng.integers(1, 256, shape), 0).astype(np.uint8)
    return Workload(name=name, images=images, labels=rng.integers(0, 10, shape[0]))


def _has_mnist(data_dir):
    _, is_cache = data_folder(data_dir)
    if is_cache:  # where it would be downloaded to
        return False
    try:
        load_dataset("mnist", data_dir=data_dir)
    except DataError:
        return False
    return True
