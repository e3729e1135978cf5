"""Data sets of events: the constructors of `TimedDataset` for them."""

from __future__ import annotations

from collections.abc import Sequence

from brian2.units import Quantity, second, us
from numpy.typing import ArrayLike

from bsnn.equations.units import as_int, positive_seconds

from . import neo_trains
from .sizes import last_event, next_millisecond
from .sources import Pairs, Windows
from .tonic_events import TonicPairs


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
):
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
        title=title,
        train=train,
        train_labels=train_labels,
        test=test,
        test_labels=test_labels,
        n_inputs=n_channels,
        n_classes=n_classes,
        duration=duration,
    )


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
):
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
        title=title,
        train=train,
        train_labels=train_labels,
        test=test,
        test_labels=test_labels,
        n_inputs=n_channels,
        n_classes=n_classes,
        duration=duration,
    )


def from_tonic(
    cls,
    train: Sequence,
    test: Sequence,
    *,
    sensor_size: Sequence[int] | None = None,
    unit: Quantity = us,
    duration: Quantity | None = None,
    n_classes: int | None = None,
    name: str | None = None,
    title: str | None = None,
    allow_empty: bool = False,
):
    """Return the data set of (events, target) pairs, as those of the library tonic.

    Parameters
    ----------
    train, test : sequence of (events, target)
        Such as ``tonic.datasets.SHD(path, train=True)``. A sample is read when it
        is asked for. The channel of an event is ``(p*height + y)*width + x``.
    sensor_size : sequence of int, optional
        Width, height and number of polarities; that of `train` unless given.
    unit : Quantity
        Of the events' times.
    duration : Quantity, optional
        That of the longest sample unless given, for which all are read.
    n_classes, title, allow_empty
        As for `from_events`.
    name : str, optional
        That of the class of `train` unless given.

    Raises
    ------
    TypeError, ValueError
        As `from_events`; if events lack a field, or do not fit the sensor.
    """
    seconds = positive_seconds(unit, "unit")
    pairs = [TonicPairs(part, sensor_size, seconds) for part in (train, test)]
    return cls.from_events(
        pairs[0],
        pairs[0].labels(),
        pairs[1],
        pairs[1].labels(),
        n_channels=pairs[0].n_channels,
        duration=duration,
        n_classes=n_classes,
        name=name or type(train).__name__,
        title=title,
        allow_empty=allow_empty,
    )


def from_neo(
    cls,
    train: Sequence,
    train_labels: ArrayLike,
    test: Sequence,
    test_labels: ArrayLike,
    *,
    duration: Quantity | None = None,
    n_classes: int | None = None,
    name: str = "neo",
    title: str | None = None,
    allow_empty: bool = False,
):
    """Return the data set of spike trains of the library Neo.

    Parameters
    ----------
    train, test : sequence of neo.Segment, or of sequences of neo.SpikeTrain
        A sample each, whose trains are its channels and begin together.
    train_labels, test_labels : array_like, int
    duration : Quantity, optional
        That of the longest sample unless given, from ``t_start`` to ``t_stop``.
    n_classes, name, title, allow_empty
        As for `from_events`.

    Raises
    ------
    TypeError, ValueError
        As `from_events`; if samples have different numbers of trains, or trains
        different starts.
    """
    parts = {"train": train, "test": test}
    (first, size, length), (second_, other, longer) = (
        neo_trains.as_pairs(part, split) for split, part in parts.items()
    )
    if size != other:
        raise ValueError(
            f"'test' must have {size} spike trains in each sample as 'train', got "
            f"{other}."
        )
    if duration is None:
        duration = next_millisecond(max(length, longer))
    return cls.from_events(
        first,
        train_labels,
        second_,
        test_labels,
        n_channels=size,
        duration=duration,
        n_classes=n_classes,
        name=name,
        title=title,
        allow_empty=allow_empty,
    )
