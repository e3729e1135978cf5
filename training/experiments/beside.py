"""Encoding and measuring beside the simulation, in one other thread.

Small batches go there together, since each visit has a cost of its own. There is one
thread, so batches are measured in the order in which they came.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np

from bsnn.inputs.samples import Samples
from bsnn.spikes import Spikes

SAMPLES_BESIDE = 50  # that are encoded or measured at a time, in small batches


def encoded(
    samples: Samples, batches: Sequence[np.ndarray], beside: Executor
) -> Iterator[Spikes]:
    """Yield the input spikes of each batch, encoded beside what is done with others."""
    if not batches:
        return
    n_together = max(SAMPLES_BESIDE // len(batches[0]), 1)
    groups = [
        batches[at : at + n_together] for at in range(0, len(batches), n_together)
    ]

    def encode(group):
        return beside.submit(samples.spikes, np.concatenate(group))

    pending = encode(groups[0])
    for group, following in itertools.zip_longest(groups, groups[1:]):
        inputs = pending.result()
        # Before this group is handed out: it is simulated while the next is encoded.
        if following is not None:
            pending = encode(following)
        bounds = itertools.accumulate(map(len, group), initial=0)
        for start, stop in itertools.pairwise(bounds):
            yield _part(inputs, start, stop)


class MeasuringBeside:
    """Adds batches to a measurement beside what is done with the next ones.

    Parameters
    ----------
    measured : object
        Its ``add(records, labels)`` is called in the other thread.
    beside : Executor
        Of one thread.
    """

    def __init__(self, measured, beside: Executor):
        self._measured, self._beside = measured, beside
        self._batches, self._pending = [], None

    def add(self, records: Sequence[Spikes], labels: np.ndarray) -> None:
        """Take a batch, and give it to the other thread once there are enough."""
        self._batches.append((records, labels))
        if len(self._batches) * len(labels) >= SAMPLES_BESIDE:
            self._submit()

    def finish(self) -> None:
        """Wait until all that was taken is measured."""
        self._submit()
        self._pending.result()

    def _submit(self):
        # Not more than one at a time: records must not pile up, nor an error be lost.
        if self._pending is not None:
            self._pending.result()
        self._pending = self._beside.submit(_measure, self._measured, self._batches)
        self._batches = []


def _part(inputs, start, stop):
    """Return a range of samples of spikes, of currents, or of both by name."""
    if isinstance(inputs, Spikes):
        return inputs.select(start, stop)
    if isinstance(inputs, Mapping):
        return {name: _part(given, start, stop) for name, given in inputs.items()}
    return inputs[start:stop]


def _measure(measured, batches):
    """Add the records and labels of batches together, which takes less time."""
    if len(batches) > 1:
        records, labels = zip(*batches, strict=True)
        layers = [_concatenate(parts) for parts in zip(*records, strict=True)]
        batches = [(layers, np.concatenate(labels))]
    for layers, labels in batches:
        measured.add(layers, labels)


def _concatenate(parts):
    join = Spikes.concatenate if isinstance(parts[0], Spikes) else np.concatenate
    return join(parts)
