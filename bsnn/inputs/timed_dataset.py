"""Data sets whose samples unfold in time: events, series or sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from brian2.units import Quantity, second
from numpy.typing import ArrayLike

from bsnn.equations import time_rules
from bsnn.equations.units import as_int, one_of, positive_seconds
from bsnn.errors import DataError
from bsnn.labels import checked_labels

from .mel import Mel
from .numbers import FIRST_OF_TEST
from .samples import TimedSamples
from .sources import Head, Pairs, Source, Windows
from .wav import WaveFiles

MILLISECOND = 1e-3
SCANNED = 256  # samples looked at together


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedDataset:
    """Samples for training and testing that have a duration, in a fixed order.

    Parameters
    ----------
    name : str
        What `load_dataset` calls it.
    title : str
        What a report must call it.
    train, test : Source
        Hand out the samples, a batch at a time.
    train_labels, test_labels : array_like, shape (n_samples,), int
        In 0..n_classes-1.
    n_inputs : int
        Channels or features of a sample.
    n_classes : int
    duration : Quantity
        Of the longest sample, or as chosen.
    code : str
        What makes spikes of the samples, unless the user names another; see
        `bsnn.inputs.codes`.

    Raises
    ------
    TypeError, ValueError
        If labels are none, or not as many as there are samples, or `duration` is no
        time.
    """

    name: str
    title: str
    train: Source
    train_labels: np.ndarray
    test: Source
    test_labels: np.ndarray
    n_inputs: int
    n_classes: int
    duration: Quantity
    code: str = "events"

    def __post_init__(self):
        for split in ("train", "test"):
            name = f"{split}_labels"
            n_samples = len(getattr(self, split))
            labels = checked_labels(
                getattr(self, name), n_samples, self.n_classes, name
            )
            object.__setattr__(self, name, labels)
        positive_seconds(self.duration, "duration")

    def __repr__(self):
        return (
            f"TimedDataset({self.title!r}, {len(self.train)} and {len(self.test)} "
            f"samples, n_inputs={self.n_inputs}, n_classes={self.n_classes}, "
            f"duration={self.duration!s}, code={self.code!r})"
        )

    def samples(self, split: str, encode, model) -> TimedSamples:
        """Return the samples of "train" or "test"; arguments as for `TimedSamples`."""
        one_of(split, "split", ("train", "test"))
        labels = getattr(self, f"{split}_labels")
        first = FIRST_OF_TEST if split == "test" else 0
        return TimedSamples(getattr(self, split), labels, encode, model, first)

    def head(self, n_train=None, n_test=None) -> TimedDataset:
        """Return the first `n_train` and `n_test` samples; None takes all.

        Raises
        ------
        TypeError, ValueError
            If a number is none, not positive, or there are fewer samples.
        """
        parts = {}
        for split, n_samples in (("train", n_train), ("test", n_test)):
            source = getattr(self, split)
            if n_samples is None:
                continue
            n_samples = as_int(n_samples, f"n_{split}")
            if not 0 < n_samples <= len(source):
                raise ValueError(
                    f"'n_{split}' must lie in 1..{len(source)}, the {split} samples "
                    f"of {self.title}, got {n_samples}."
                )
            parts[split] = Head(source, n_samples)
            parts[f"{split}_labels"] = getattr(self, f"{split}_labels")[:n_samples]
        return replace(self, **parts)

    @classmethod
    def from_events(
        cls,
        train: Sequence,
        train_labels: ArrayLike,
        test: Sequence,
        test_labels: ArrayLike,
        *,
        n_channels: int,
        duration: Quantity | None = None,
        n_classes: int | None = None,
        name: str = "events",
        title: str | None = None,
        allow_empty: bool = False,
    ) -> TimedDataset:
        """Return the data set of samples that are (t, i) pairs.

        Parameters
        ----------
        train, test : sequence of (t, i)
            Times, in seconds or as Quantity, and channels of each sample's events.
            Anything with ``len(train)`` and ``train[m]``: a loader of one's own reads
            a sample when it is asked for.
        train_labels, test_labels : array_like, int
        n_channels : int
        duration : Quantity, optional
            Unless given, that of the longest sample: the first whole millisecond after
            its last event, for which all samples are read.
        n_classes : int, optional
            One more than the largest label unless given.
        name, title : str
        allow_empty : bool
            Whether a sample may have no events.

        Raises
        ------
        TypeError, ValueError
            If a sample is no pair, or has a channel or a time that cannot be, or none;
            at once where it is read, else when it is.
        """
        n_channels = as_int(n_channels, "n_channels", least=1)
        train, test = (
            Pairs(pairs, n_channels, allow_empty=allow_empty) for pairs in (train, test)
        )
        in_memory = all(isinstance(s.pairs, list | tuple) for s in (train, test))
        if duration is None or in_memory:
            last = max(last_event(train), last_event(test))
        if duration is None:
            duration = next_millisecond(last)
        return cls(
            name=name,
            title=title or name,
            train=train,
            train_labels=train_labels,
            test=test,
            test_labels=test_labels,
            n_inputs=n_channels,
            n_classes=as_n_classes(n_classes, train_labels, test_labels),
            duration=duration,
        )

    @classmethod
    def from_recording(
        cls,
        t: ArrayLike,
        i: ArrayLike,
        *,
        train_start: ArrayLike,
        train_labels: ArrayLike,
        test_start: ArrayLike,
        test_labels: ArrayLike,
        duration: Quantity,
        n_channels: int,
        unit: Quantity = second,
        n_classes: int | None = None,
        name: str = "recording",
        title: str | None = None,
        allow_empty: bool = False,
    ) -> TimedDataset:
        """Return the data set of windows of one recording, which may be on disk.

        Parameters
        ----------
        t : array_like, shape (n_events,), float or Quantity
            Times in order, in units of `unit`, or a Quantity. Of an ``np.memmap``, of
            any kind of number, only what a batch needs is in memory.
        i : array_like, shape (n_events,), int
            Channels.
        train_start, test_start : array_like, float or Quantity
            When each sample begins.
        train_labels, test_labels : array_like, int
        duration : Quantity
            Of each sample.
        unit : Quantity
            Of `t`, such as ``us``, where it is no Quantity.
        n_channels, n_classes, name, title, allow_empty
            As for `from_events`.

        Raises
        ------
        TypeError, ValueError
            As for `from_events`, and if the times are not in order.
        """
        n_channels = as_int(n_channels, "n_channels", least=1)
        length = positive_seconds(duration, "duration")
        train, test = (
            Windows(
                t,
                i,
                start,
                length,
                n_channels,
                unit=1.0 if isinstance(t, Quantity) else positive_seconds(unit, "unit"),
                allow_empty=allow_empty,
            )
            for start in (train_start, test_start)
        )
        return cls(
            name=name,
            title=title or name,
            train=train,
            train_labels=train_labels,
            test=test,
            test_labels=test_labels,
            n_inputs=n_channels,
            n_classes=as_n_classes(n_classes, train_labels, test_labels),
            duration=duration,
        )

    @classmethod
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
    ) -> TimedDataset:
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
            title=title or name,
            train=train,
            train_labels=train_labels,
            test=test,
            test_labels=test_labels,
            n_inputs=mel.n_bands,
            n_classes=as_n_classes(n_classes, train_labels, test_labels),
            duration=time_rules.count_steps(longest, frame) * mel.frame,
            code="rate",
        )


def last_event(source: Source) -> float:
    """Return the largest time of an event, in seconds, reading all samples."""
    places = np.arange(len(source))
    parts = (places[at : at + SCANNED] for at in range(0, len(places), SCANNED))
    return max((source.take(part).time.max(initial=0) for part in parts), default=0.0)


def next_millisecond(seconds: float) -> Quantity:
    """Return the first whole number of milliseconds after a time."""
    milliseconds = math.floor(seconds / MILLISECOND * (1 + 1e-12)) + 1
    return milliseconds * MILLISECOND * second


def as_n_classes(n_classes, *labels) -> int:
    """Return the number of classes, as given or as many as the labels say."""
    if n_classes is not None:
        return as_int(n_classes, "n_classes", least=1)
    arrays = [np.asarray(part) for part in labels]
    numbers = [a for a in arrays if a.size and a.dtype.kind in "iu"]
    return max((max(int(a.max()), 0) + 1 for a in numbers), default=1)
