"""Data sets: image files, the embedded digits, the generated Yin-Yang task."""

from __future__ import annotations

import importlib.resources
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bsnn.folders import named_folder, user_cache
from bsnn.labels import checked_labels

from . import hdf5, spoken_digits, tasks, wave_folder, yin_yang
from .image_files import IMAGE_SETS, own_files, read_splits
from .numbers import FIRST
from .samples import ImageSamples

if TYPE_CHECKING:
    from .timed_dataset import TimedDataset


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Samples for training and testing, in a fixed order.

    Parameters
    ----------
    name : str
        What `load_dataset` calls it.
    title : str
        What a report must call it.
    train_images, test_images : ndarray, shape (n_samples, ...), uint8 or float64
        Intensities in 0..255; upright images (n_samples, height, width) or features
        (n_samples, n_features).
    train_labels, test_labels : ndarray, shape (n_samples,), int64
        In 0..n_classes-1.
    n_classes : int

    Raises
    ------
    TypeError, ValueError
        If labels are none, or not as many as there are images.
    """

    name: str
    title: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    n_classes: int
    code = "first-spike"  # what makes spikes of them, unless the user names another

    def __post_init__(self):
        for split in ("train", "test"):
            images = np.asarray(getattr(self, f"{split}_images"))
            name = f"{split}_labels"
            labels = checked_labels(
                getattr(self, name), len(images), self.n_classes, name
            )
            object.__setattr__(self, f"{split}_images", images)
            object.__setattr__(self, name, labels)

    @property
    def n_inputs(self):
        """Pixels or features of a sample."""
        return math.prod(self.train_images.shape[1:])

    def samples(self, split: str, encode, model) -> ImageSamples:
        """Return the samples of "train" or "test"; arguments as for `ImageSamples`."""
        from bsnn.equations.units import one_of  # as in `head`

        one_of(split, "split", ("train", "test"))
        images = getattr(self, f"{split}_images")
        labels = getattr(self, f"{split}_labels")
        return ImageSamples(images, labels, encode, model, FIRST[split])

    def head(self, n_train=None, n_test=None):
        """Return the first `n_train` and `n_test` samples; None takes all.

        Raises
        ------
        TypeError, ValueError
            If a number is none, not positive, or there are fewer samples.
        """
        from bsnn.equations.units import as_int  # `bsnn doctor` copes without Brian2

        parts = {}
        for split, n_samples in (("train", n_train), ("test", n_test)):
            images = getattr(self, f"{split}_images")
            if n_samples is not None:
                n_samples = as_int(n_samples, f"n_{split}")
                if not 0 < n_samples <= len(images):
                    raise ValueError(
                        f"'n_{split}' must lie in 1..{len(images)}, the {split} "
                        f"samples of {self.title}, got {n_samples}."
                    )
            parts[f"{split}_images"] = images[:n_samples]
            parts[f"{split}_labels"] = getattr(self, f"{split}_labels")[:n_samples]
        return replace(self, **parts)


NAMES = (*IMAGE_SETS, spoken_digits.NAME, *tasks.NAMES, "digits", "yin-yang")


def is_name(text):
    """Return whether a text can name a data set: names become parts of paths."""
    plain = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"
    return isinstance(text, str) and re.fullmatch(plain, text) is not None


def load_dataset(name, *, data_dir=None) -> Dataset | TimedDataset:
    """Return a data set by name.

    Image files are read from the data folder, laid out as ours or as torchvision's;
    those of MNIST and Fashion-MNIST are downloaded into the user's cache when no folder
    is named. Where "emnist" is not available, the 47-class subset is returned under its
    own name and title.

    Parameters
    ----------
    name : str
        "mnist", "emnist", "emnist-47class-subset", "fashion-mnist", "digits",
        "yin-yang", "spoken-digits", or a generated task in its usual size, "randman",
        "store-recall", "sequence" or "evidence" (other sizes: `bsnn.inputs.tasks`); or
        a data set of one's own: a folder of this name in the data folder with four IDX
        files called as those of MNIST, images of any one size; with ``*_train.h5`` and
        ``*_test.h5``, events in the layout of SHD; or with ``train/<label>/*.wav`` and
        ``test/<label>/*.wav``, sound.
    data_dir : path, optional
        Data folder; by default BSNN_DATA, or the user's cache if that is not set.

    Raises
    ------
    ValueError
        If there is no such data set.
    DataError
        If its files are missing, damaged or inconsistent.
    """
    if name == "digits":
        return _digits()
    if name == "yin-yang":
        return _yin_yang()
    if is_name(name) and name in tasks.NAMES:
        return tasks.make(name)
    folder, is_cache = data_folder(data_dir)
    if name == spoken_digits.NAME:
        return spoken_digits.load(folder)
    if name == "emnist":
        name = available_emnist(folder)
    files = IMAGE_SETS.get(name) if is_name(name) else None
    if files is None:
        if not is_name(name) or not (folder / name).is_dir():
            raise ValueError(
                f"'name' of a data set must be one of {', '.join(NAMES)}, or of a "
                f"folder in {folder}, got {name!r}."
            )
        if hdf5.has_files(folder / name):
            return hdf5.read_folder(folder / name, name)
        if wave_folder.has_files(folder / name):
            return wave_folder.read_folder(folder / name, name)
        files = own_files(name)
    splits = read_splits(files, folder, fetch=is_cache)
    labels = splits["train_labels"].max(), splits["test_labels"].max()
    return Dataset(
        name=name,
        title=files.title,
        n_classes=int(max(labels)) + 1 if files.n_classes is None else files.n_classes,
        **splits,
    )


def data_folder(data_dir=None):
    """Return the folder of image files, and whether it is the cache, not a choice."""
    chosen = Path(data_dir).expanduser() if data_dir else named_folder("BSNN_DATA")
    return (chosen, False) if chosen else (user_cache("BSNN_DATA") / "data", True)


def available_emnist(folder):
    """Return the name of the subset if that alone is in `folder`, else "emnist"."""
    subset = "emnist-47class-subset"
    only_subset = all(IMAGE_SETS[subset].find(folder)) and not any(
        IMAGE_SETS["emnist"].find(folder)
    )
    return subset if only_subset else "emnist"


def _digits():
    """Return the embedded UCI digits; see data/README.md for their origin."""
    file = importlib.resources.files(__package__) / "data" / "digits.npz"
    with file.open("rb") as stream, np.load(stream) as arrays:
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    # A pixel counts the dark ones among 4x4 of the scan: 16 is full intensity.
    images = np.rint(images * (255 / 16)).astype(np.uint8)
    # The file's order repeats the digits in cycles of ten, so that every fifth sample
    # would favour some of them: every fifth of each digit makes the test set.
    rank = np.empty(len(labels), np.int64)
    for digit in range(10):
        rank[labels == digit] = np.arange(np.count_nonzero(labels == digit))
    test = rank % 5 == 4
    return Dataset(
        name="digits",
        title="UCI digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        n_classes=10,
    )


def _yin_yang():
    """Return the Yin-Yang task in the size of its paper, 5,000 and 1,000 samples."""
    train_features, train_labels = yin_yang.sample(5000, seed=42)
    test_features, test_labels = yin_yang.sample(1000, seed=40)
    # As intensities the features spike from 1 (at once) to 0 (at the latest time); none
    # is exactly 0, which would be silence.
    return Dataset(
        name="yin-yang",
        title="Yin-Yang",
        train_images=255 * train_features,
        train_labels=train_labels,
        test_images=255 * test_features,
        test_labels=test_labels,
        n_classes=3,
    )
