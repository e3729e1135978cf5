"""Data sets whose samples unfold in time: events, series or sound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from brian2.units import Quantity

from bsnn.equations.units import as_int, one_of, positive_seconds
from bsnn.labels import checked_labels

from . import made_of_events, made_of_series
from .numbers import FIRST
from .samples import TimedSamples
from .sizes import as_n_classes
from .sources import Head, Source


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedDataset:
    """Samples for training and testing that have a duration, in a fixed order.

    Parameters
    ----------
    name : str
        What `load_dataset` calls it.
    title : str, optional
        What a report must call it; its name unless given.
    train, test : Source
        Hand out the samples, a batch at a time.
    train_labels, test_labels : array_like, shape (n_samples,), int
        In 0..n_classes-1.
    validation : Source, optional
        Samples that its authors hold out for validation, with `validation_labels`.
    validation_labels : array_like, shape (n_samples,), int, optional
    n_inputs : int
        Channels or features of a sample.
    n_classes : int, optional
        One more than the largest label unless given.
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
    title: str | None = None
    train: Source
    train_labels: np.ndarray
    test: Source
    test_labels: np.ndarray
    validation: Source | None = None
    validation_labels: np.ndarray | None = None
    n_inputs: int
    n_classes: int | None = None
    duration: Quantity
    code: str = "events"

    def __post_init__(self):
        if (self.validation is None) != (self.validation_labels is None):
            raise TypeError(
                "'validation' and 'validation_labels' belong together; give both, or "
                "neither."
            )
        labels = [getattr(self, f"{split}_labels") for split in self._splits]
        n_classes = as_n_classes(self.n_classes, *labels)
        self.__dict__.update(title=self.title or self.name, n_classes=n_classes)
        for split in self._splits:
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

    @property
    def _splits(self):
        own = () if self.validation is None else ("validation",)
        return ("train", *own, "test")

    def samples(self, split: str, encode, model) -> TimedSamples:
        """Return the samples of "train" or "test", or its own for "validation".

        Arguments as for `TimedSamples`.
        """
        one_of(split, "split", self._splits)
        labels, first = getattr(self, f"{split}_labels"), FIRST[split]
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

    # What makes a data set of what a user has: see there.
    from_events = classmethod(made_of_events.from_events)
    from_recording = classmethod(made_of_events.from_recording)
    from_tonic = classmethod(made_of_events.from_tonic)
    from_neo = classmethod(made_of_events.from_neo)
    from_series = classmethod(made_of_series.from_series)
    from_aeon = classmethod(made_of_series.from_aeon)
    from_wave_files = classmethod(made_of_series.from_wave_files)
