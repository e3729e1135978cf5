"""How a batch of a network is written for its program, and the answer read."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bsnn.equations.adjoint import Adjoint
from bsnn.network import Network
from bsnn.spikes import Spikes

from .chain_form import take_spikes
from .derivatives import PartialDerivatives, nodes_of
from .resident import aligned


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Derivatives of the loss with respect to what a network did.

    Parameters
    ----------
    spikes : dict of str to (offset, values)
        Of each population that can fire, the derivative with respect to each delivered
        time in 1/s, in the order of its `Spikes`.
    traces : dict of (str, str) to array, shape (n_samples, n_steps, n_neurons)
        Of each trace.
    existing : dict of str to array, shape (n_samples, n_steps, n_neurons)
        Under a surrogate, the derivative with respect to each spike that is sent, 1, or
        not, 0; of populations that the loss depends on in this way.
    """

    spikes: dict
    traces: dict
    existing: dict = field(default_factory=dict)

    def check(self, network: Network, n_samples: int) -> None:
        """Refuse derivatives of anything but what `n_samples` of a network did.

        Raises
        ------
        ValueError
        """
        fire = [p.name for p in network.groups if p.neuron.threshold is not None]
        shapes = {p.name: (n_samples, network.n_steps, p.size) for p in network.groups}
        recorded = {
            (p.name, v): shapes[p.name] for p in network.groups for v in p.record
        }
        _check_names("spikes", self.spikes, fire, fire)
        _check_names("traces", self.traces, recorded, recorded)
        _check_names("existing", self.existing, (), fire)
        for name, (offset, values) in self.spikes.items():
            m, n = len(offset) - 1, offset[-1]
            if m != n_samples or len(values) != n:
                raise ValueError(
                    f"derivatives by the spikes of {name!r} must be one for each in "
                    f"{n_samples} samples, got {len(values)} of the {n} in {m} samples."
                )
        for key, values in (*self.traces.items(), *self.existing.items()):
            shape = (shapes | recorded)[key]
            if values.shape != shape:
                raise ValueError(
                    f"derivatives of {key!r} must have shape {shape}, got "
                    f"{values.shape}."
                )

    def select(self, start, stop):
        """Return the derivatives of a range of samples."""
        spikes = {}
        for name, (offset, values) in self.spikes.items():
            first, last = offset[start], offset[stop]
            spikes[name] = (
                np.asarray(offset[start : stop + 1]) - first,
                values[first:last],
            )
        traces = {key: trace[start:stop] for key, trace in self.traces.items()}
        existing = {name: s[start:stop] for name, s in self.existing.items()}
        return Losses(spikes=spikes, traces=traces, existing=existing)


def _check_names(what, given, needed, allowed):
    """Refuse a dict that lacks what is needed, or has what is not known."""
    odd = [name for name in needed if name not in given]
    odd += [name for name in given if name not in allowed]
    if odd:
        raise ValueError(
            f"{what!r} of 'losses' must be those of {list(allowed)}, got {list(given)}."
        )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one program is asked.

    Parameters
    ----------
    inputs : dict of str to Spikes
    currents : dict of (str, str) to array, shape (n_samples, n_steps, n_neurons or 1)
    seed : int
        Of the noise.
    first_sample : int
        Which of the whole batch's samples is the first here.
    n_samples : int
    delays : sequence of ndarray
        In steps, of each connection.
    data_at : int
        Where weights and parameters begin in their segment.
    crossings : bool
        Whether crossings are wanted, if the backward pass needs nothing else.
    kept : int
        Not 0 where a program keeps what the backward pass needs of the simulation, if
        that is no more than its crossings, under this number; and where it was kept.
    losses : Losses, optional
        If derivatives are asked for.
    by_inputs : bool
        Whether derivatives by the times of input spikes are wanted.
    first_chunk : int
        Which of the whole batch's groups of samples is the first here.
    bounds : sequence of int
        Where each of the groups begins, and the last one ends; derivatives are summed
        over each by itself.
    """

    inputs: dict
    currents: dict
    seed: int
    first_sample: int
    n_samples: int
    delays: Sequence[np.ndarray] = ()
    data_at: int = 0
    crossings: bool = False
    kept: int = 0
    losses: Losses | None = None
    by_inputs: bool = False
    first_chunk: int = 0
    bounds: Sequence[int] = (0,)


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a network did: spikes of each population, traces, and where it broke.

    `crossings` has a row for each spike of a population, where they are all that the
    backward pass needs: when in its step it crossed, the slope of the margin there, the
    margin's derivatives, and the states before the reset. The programs keep the same
    under the number `kept`, unless it is 0.
    """

    spikes: dict
    traces: dict
    broken: tuple | None = None
    crossings: dict | None = None
    kept: int = 0

    @classmethod
    def concatenate(cls, parts):
        """Return the records of all samples of some batches."""
        return cls(
            spikes={
                name: Spikes.concatenate([p.spikes[name] for p in parts])
                for name in parts[0].spikes
            },
            traces={
                key: np.concatenate([p.traces[key] for p in parts])
                for key in parts[0].traces
            },
            crossings=None
            if parts[0].crossings is None
            else {
                name: np.concatenate([p.crossings[name] for p in parts])
                for name in parts[0].crossings
            },
            kept=parts[0].kept,
        )


@dataclass(frozen=True)
class GraphForm:
    """What the programs of `native/graph.cpp` read and write.

    Parameters
    ----------
    network : Network
    real : dtype
        float64 or float32, the precision of the build.
    learn : dict of str to sequence of str
        Parameters and currents of each population, and "delay" of each connection,
        whose derivatives are given.
    replicas : int
        Samples that a GPU simulates at the same time; 0 where it is to decide.
    """

    network: Network
    real: np.dtype
    learn: dict
    replicas: int = 0

    def write(self, exchange, batch):
        network, m = self.network, batch.n_samples
        blocks = [self._table(batch)]
        for part in network.populations:
            if part.name in batch.inputs:
                spikes = batch.inputs[part.name]
                blocks += [
                    np.asarray(spikes.offset, np.int64),
                    np.asarray(spikes.step, np.int32),
                    np.asarray(spikes.neuron, np.int32),
                ]
            else:
                currents = part.neuron.currents
                blocks += [self._real(batch.currents[part.name, c]) for c in currents]
        if batch.losses is not None:
            for part in network.groups:
                if part.neuron.threshold is not None:
                    offset, values = batch.losses.spikes[part.name]
                    blocks += [np.asarray(offset, np.int64), np.asarray(values, float)]
                blocks += [
                    self._real(batch.losses.traces[part.name, name])
                    for name in part.record
                ]
                if part.name in batch.losses.existing:
                    blocks.append(self._real(batch.losses.existing[part.name]))
            n_chunks = len(batch.bounds) - 1
            blocks.append(np.array([n_chunks, batch.first_chunk], np.int64))
            blocks.append(np.array(batch.bounds, np.int64))
        exchange.reserve(sum(aligned(block.nbytes) for block in blocks))
        at = 0
        for block in blocks:
            exchange.view(at, block.dtype, block.shape)[...] = block
            at += aligned(block.nbytes)
        n_table = len(blocks[0])
        return m, network.n_steps, n_table, network.dt_seconds, batch.data_at

    def _table(self, batch):
        backwards = batch.losses is not None
        numbers = [backwards, batch.seed, batch.first_sample, batch.kept]
        numbers += [batch.by_inputs, self.replicas, batch.crossings]
        for connection, steps, shape in zip(
            self.network.connections,
            batch.delays,
            self.network.weight_shapes,
            strict=True,
        ):
            pattern = connection.pattern
            n_pairs = 0 if pattern is None else len(pattern.i)
            numbers += [steps.max(), math.prod(shape), n_pairs]
        existing = batch.losses.existing if backwards else ()
        numbers += [part.name in existing for part in self.network.populations]
        return np.array(numbers, np.int64)

    def _real(self, values):
        return np.asarray(values, self.real)

    def read(self, exchange, at, batch):
        """Return the `Records`, or the `Derivatives` that were asked for."""

        def take(dtype, *shape):
            nonlocal at
            array = exchange.view(at, dtype, shape)
            at += aligned(array.nbytes)
            return array

        if batch.losses is None:
            return self._records(take, batch)
        return self._derivatives(take, batch)

    def _records(self, take, batch):
        network, m, n_steps = self.network, batch.n_samples, self.network.n_steps
        traces = {
            (part.name, name): take(self.real, m, n_steps, part.size)
            for part in network.groups
            for name in part.record
        }
        *broken, given = take(np.int64, 6)
        spikes, crossings = {}, {}
        for part in network.groups:
            if part.neuron.threshold is not None:
                offset, index, step = take_spikes(take, m, part.size, n_steps)
                spikes[part.name] = Spikes.known(
                    neuron=index,
                    offset=offset,
                    n_neurons=part.size,
                    dt=network.dt_seconds,
                    step=step,
                )
                if given:
                    width = self._widths[part.name]
                    crossings[part.name] = take(self.real, len(index), width)
        return Records(
            spikes=spikes,
            traces=traces,
            broken=self._broken(broken),
            crossings=crossings if given else None,
            kept=batch.kept,
        )

    @functools.cached_property
    def _widths(self):
        """How many numbers the program keeps of each spike of a population."""
        adjoints = {
            p.name: Adjoint(p.neuron, tuple(self.learn.get(p.name, ())))
            for p in self.network.groups
            if p.neuron.threshold is not None
        }
        return {n: 2 + len(a.gains) + len(a.states) for n, a in adjoints.items()}

    def _broken(self, numbers):
        population, variable, step, sample, neuron = map(int, numbers)
        if population < 0:
            return None
        part = self.network.populations[population]
        return part.name, part.neuron.states[variable], step, sample, neuron

    def _derivatives(self, take, batch):
        network, m = self.network, batch.n_samples
        *_, differs, n_clamped, n_sums = take(np.int64, 8)
        currents, inputs = {}, {}
        sizes = self.learned("currents")
        for part in network.populations:
            if part.name in batch.inputs:
                n_spikes = batch.inputs[part.name].n_spikes
                inputs[part.name] = take(np.float64, n_spikes)
                continue
            for key in sizes:
                if key[0] == part.name:
                    currents[key] = take(self.real, m, network.n_steps, sizes[key])
        sums = []
        for level, index in nodes_of(batch.first_chunk, len(batch.bounds) - 1):
            weights, delays = [], {}
            for connection, shape in zip(
                network.connections, network.weight_shapes, strict=True
            ):
                weights.append(take(self.real, *shape))
                if "delay" in self.learn.get(connection.name, ()):
                    delays[connection.name] = take(self.real, *connection.delay.shape)
            sizes = self.learned("values").items()
            parameters = {key: take(np.float64, size) for key, size in sizes}
            sums.append((level, index, (weights, parameters, delays)))
        assert len(sums) == n_sums
        return PartialDerivatives(
            sums=sums,
            inputs=inputs,
            currents=currents,
            n_clamped=int(n_clamped),
            differs=None if differs < 0 else int(differs),
        )

    def learned(self, kind):
        """Return how many numbers each learned parameter ("values") or current has."""
        sizes = {}
        for part in self.network.groups:
            neuron = part.neuron
            for name in self.learn.get(part.name, ()):
                if kind == "values" and name in neuron.values:
                    sizes[part.name, name] = 1 if neuron.is_shared(name) else part.size
                elif kind == "currents" and name in neuron.currents:
                    shared = name in neuron.shared_currents
                    sizes[part.name, name] = 1 if shared else part.size
        return sizes
