"""Data sets of series and sound: the constructors of `TimedDataset` for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from brian2.units import Quantity
from numpy.typing import ArrayLike

from bsnn.equations import time_rules
from bsnn.equations.units import positive_seconds
from bsnn.errors import BackendUnavailable, DataError

from .mel import Mel
from .series import checked_frames
from .sources import Sequences
from .wav import WaveFiles


def from_series(
    cls,
    train: Sequence[ArrayLike],
    train_labels: ArrayLike,
    test: Sequence[ArrayLike],
    test_labels: ArrayLike,
    *,
    step: Quantity,
    features_first: bool = False,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    n_classes: int | None = None,
    name: str = "series",
    title: str | None = None,
):
    """Return the data set of labelled series.

    Parameters
    ----------
    train, test : sequence of array_like, shape (n_frames, n_features)
        Of any number of frames each.
    train_labels, test_labels : array_like, int
    step : Quantity
        Length of a frame.
    features_first : bool
        Whether the arrays have shape (n_features, n_frames), as aeon's do.
    low, high : float or array_like, shape (n_features,), optional
        The range of each feature, by which codes scale it; that of the samples for
        training unless given.
    n_classes : int, optional
        One more than the largest label unless given.
    name, title : str

    Raises
    ------
    TypeError, ValueError
        If a sample holds no finite numbers, or has another number of features; if
        labels are none, or not as many as there are samples.
    """
    train, test = (
        [checked_frames(_turned(x, features_first), m) for m, x in enumerate(part)]
        for part in (train, test)
    )
    if not train or not test:
        raise ValueError("'train' and 'test' must hold samples, got none.")
    if (low is None) != (high is None):
        raise ValueError("'low' and 'high' must be given together, got one alone.")
    if low is None:
        low = np.min([frames.min(axis=0) for frames in train], axis=0)
        high = np.max([frames.max(axis=0) for frames in train], axis=0)
    sources = [Sequences(part, step, low, high) for part in (train, test)]
    longest = max(len(frames) for frames in (*train, *test))
    return cls(
        name=name,
        title=title,
        train=sources[0],
        train_labels=train_labels,
        test=sources[1],
        test_labels=test_labels,
        n_inputs=train[0].shape[1],
        n_classes=n_classes,
        duration=longest * step,
        code="rate",
    )


def from_aeon(cls, name: str, *, step: Quantity):
    """Return a classification problem of the library aeon, in its official split.

    "JapaneseVowels" and "BasicMotions" come with aeon; others it downloads. Classes
    are numbered in the order of their sorted names.

    Parameters
    ----------
    name : str
    step : Quantity
        Length of a frame: aeon does not say it.

    Raises
    ------
    BackendUnavailable
        If aeon is not installed.
    """
    try:
        from aeon.datasets import load_classification
    except ImportError as error:
        raise BackendUnavailable(
            f"{name} comes with aeon, which is not installed; pip install 'bsnn[aeon]'."
        ) from error
    train, train_classes = load_classification(name, split="train")
    test, test_classes = load_classification(name, split="test")
    classes = np.unique(np.concatenate([train_classes, test_classes]))
    return cls.from_series(
        train,
        np.searchsorted(classes, train_classes),
        test,
        np.searchsorted(classes, test_classes),
        step=step,
        features_first=True,
        n_classes=len(classes),
        name=name,
    )


def from_wave_files(
    cls,
    train: Sequence[Path],
    train_labels: ArrayLike,
    test: Sequence[Path],
    test_labels: ArrayLike,
    *,
    n_classes: int | None = None,
    mel: Mel | None = None,
    name: str = "sound",
    title: str | None = None,
):
    """Return the data set of mono WAV files, which are read when they are needed.

    Its features are the loudness in mel bands; the cochlea hears the sound itself.

    Parameters
    ----------
    train, test : sequence of path
    train_labels, test_labels : array_like, int
    n_classes : int, optional
        One more than the largest label unless given.
    mel : Mel, optional
        Bands and frames.
    name, title : str

    Raises
    ------
    DataError
        If a file cannot be read, is not mono, or has another sampling rate.
    TypeError, ValueError
        If labels are none, or not as many as there are files.
    """
    mel = Mel() if mel is None else mel
    train, test = WaveFiles(train, mel), WaveFiles(test, mel)
    if test.rate != train.rate:
        raise DataError(
            f"{test.paths[0]} must have the sampling rate of {train.paths[0]}, "
            f"{train.rate} Hz, got {test.rate} Hz; convert it."
        )
    frame = positive_seconds(mel.frame, "frame")
    longest = max(train.longest, test.longest)
    return cls(
        name=name,
        title=title,
        train=train,
        train_labels=train_labels,
        test=test,
        test_labels=test_labels,
        n_inputs=mel.n_bands,
        n_classes=n_classes,
        duration=time_rules.count_steps(longest, frame) * mel.frame,
        code="rate",
    )


def _turned(frames, features_first):
    array = np.asarray(frames)
    return array.T if features_first and array.ndim == 2 else array
