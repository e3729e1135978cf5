"""How a batch of a network is written for its program, and the answer read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bsnn.network import Network
from bsnn.spikes import Spikes

from .chain_form import take_spikes
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
    """

    spikes: dict
    traces: dict


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
    data_at : int
        Where weights and parameters begin in their segment.
    losses : Losses, optional
        If derivatives are asked for.
    n_chunks : int
        Groups of samples whose derivatives are summed by themselves.
    """

    inputs: dict
    currents: dict
    seed: int
    first_sample: int
    n_samples: int
    data_at: int = 0
    losses: Losses | None = None
    n_chunks: int = 0


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a network did: spikes of each population, traces, and where it broke."""

    spikes: dict
    traces: dict
    broken: tuple | None


@dataclass(frozen=True, kw_only=True)
class Derivatives:
    """Derivatives of a loss, with an axis of chunks first where they are summed."""

    weights: list
    parameters: dict
    inputs: dict
    currents: dict
    n_clamped: int
    differs: int | None  # a sample that did not repeat its spikes
    broken: tuple | None = field(default=None)


@dataclass(frozen=True)
class GraphForm:
    """What the programs of `native/graph.h` read and write.

    Parameters
    ----------
    network : Network
    real : dtype
        float64 or float32, the precision of the build.
    learn : dict of str to sequence of str
        Parameters and currents of each population whose derivatives are given.
    """

    network: Network
    real: np.dtype
    learn: dict

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
            blocks.append(np.array([batch.n_chunks], np.int64))
        exchange.reserve(sum(aligned(block.nbytes) for block in blocks))
        at = 0
        for block in blocks:
            exchange.view(at, block.dtype, block.shape)[...] = block
            at += aligned(block.nbytes)
        n_table = len(blocks[0])
        return m, network.n_steps, n_table, network.dt_seconds, batch.data_at

    def _table(self, batch):
        numbers = [batch.losses is not None, batch.seed, batch.first_sample]
        return np.array([*numbers, *self.network.delays], np.int64)

    def _real(self, values):
        return np.ascontiguousarray(values, self.real)

    def read(self, exchange, at, batch):
        """Return the `Records`, or the `Derivatives` that were asked for."""

        def take(dtype, *shape):
            nonlocal at
            array = exchange.view(at, dtype, shape)
            at += aligned(array.nbytes)
            return array

        if batch.losses is None:
            return self._records(take, batch.n_samples)
        return self._derivatives(take, batch)

    def _records(self, take, m):
        network, n_steps = self.network, self.network.n_steps
        traces = {
            (part.name, name): take(self.real, m, n_steps, part.size)
            for part in network.groups
            for name in part.record
        }
        broken = take(np.int64, 5)
        spikes = {}
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
        return Records(spikes=spikes, traces=traces, broken=self._broken(broken))

    def _broken(self, numbers):
        population, variable, step, sample, neuron = map(int, numbers)
        if population < 0:
            return None
        part = self.network.populations[population]
        return part.name, part.neuron.states[variable], step, sample, neuron

    def _derivatives(self, take, batch):
        network, m = self.network, batch.n_samples
        *broken, differs, n_clamped = take(np.int64, 6)
        weights, parameters = [], []
        for _ in range(batch.n_chunks):
            weights.append([take(self.real, *s) for s in network.weight_shapes])
            parameters.append(
                {
                    key: take(np.float64, size)
                    for key, size in self.learned("values").items()
                }
            )
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
        return Derivatives(
            weights=[list(chunks) for chunks in zip(*weights, strict=True)],
            parameters={
                key: [chunk[key] for chunk in parameters] for key in parameters[0]
            },
            inputs=inputs,
            currents=currents,
            n_clamped=int(n_clamped),
            differs=None if differs < 0 else int(differs),
            broken=self._broken([*broken, 0]),
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
