"""The simulator of any network: resident programs that run it and its adjoint."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import weakref
from collections.abc import Mapping, Sequence

import numpy as np
from brian2.units import second
from numpy.typing import ArrayLike

from bsnn.delays import OF_CONNECTION, as_delay
from bsnn.equations.adjoint import Adjoint
from bsnn.equations.dynamics import Dynamics
from bsnn.equations.estimators import StraightThrough, Surrogate
from bsnn.equations.statements import symbol
from bsnn.equations.units import as_int, as_positive, one_of
from bsnn.errors import NumbersError, ProgramError
from bsnn.machine import DEVICES
from bsnn.network import Network
from bsnn.processes.forks import tell_of_forks
from bsnn.program.build import PRECISIONS
from bsnn.program.derivatives import Derivatives, summed
from bsnn.program.graph_data import Numbers, as_given, pairs_of
from bsnn.program.graph_form import Batch, GraphForm, Losses, Records
from bsnn.program.memory import SharedWeights
from bsnn.program.pool import Pool
from bsnn.spikes import Spikes
from bsnn.targets.cpp.graph import CppNetworkTarget
from bsnn.targets.cuda.graph import CudaNetworkTarget

from .base import check_weights, count_workers
from .network_inputs import checked_inputs
from .turns import Turns

LEAST_SLOPE = 1e-9  # of a margin per second, where nothing else bounds it


class NetworkSimulator(Turns):
    """Simulates a network, and sweeps its adjoint backwards in time.

    Parameters
    ----------
    network : Network
    learn : dict of str to sequence of str, optional
        What `pull_back` gives derivatives of, beside the weights: parameters and
        currents of each population, and "delay" of each connection, by their names.
        None for a program without a backward pass.
    workers : int, optional
        Processes that share each batch; one per core unless given.
    precision : {"double", "single"}
        Of state, weights and traces in the program.
    estimator : StraightThrough or Surrogate, optional
        What stands for the derivative of a spike; `StraightThrough()` unless given.
    timeout : float
        Seconds after which a batch counts as hung.
    device : {"cpp", "cuda"}
        "cuda" needs a GPU; nothing falls back to "cpp". Derivatives are then the same
        bits for the same number of replicas.
    replicas, arch : optional
        As for `CudaNetworkTarget`; for "cuda" alone.

    Attributes
    ----------
    folder : Path
        Of the compiled program.
    seconds : float
        What the last batch took the slowest process, without the exchange.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or the network cannot be differentiated.
    BackendUnavailable, BuildError
        If there is no compiler or no GPU, or the program cannot be built.
    ProgramError
        If it cannot be started.
    """

    def __init__(
        self,
        network: Network,
        *,
        learn: Mapping[str, Sequence[str]] | None = None,
        workers: int | None = None,
        precision: str = "double",
        estimator: StraightThrough | Surrogate | None = None,
        timeout: float = 60.0,
        device: str = "cpp",
        replicas: int | None = None,
        arch: float | None = None,
    ):
        if not isinstance(network, Network):
            raise TypeError(f"'network' must be a Network, got {network!r}.")
        one_of(precision, "precision", PRECISIONS)
        target = _target_on(device, replicas, arch)
        super().__init__(
            network,
            learn=learn,
            workers=workers,
            precision=precision,
            estimator=estimator,
            timeout=timeout,
            device=device,
            replicas=replicas,
            arch=arch,
        )
        if learn is not None:
            _check_learn(network, learn)
        self.network = network
        self.learn = None if learn is None else {k: list(v) for k, v in learn.items()}
        workers = 1 if target.one_program else count_workers(workers)
        timeout = as_positive(timeout, "timeout")
        if not isinstance(estimator, (StraightThrough, Surrogate, type(None))):
            raise TypeError(
                "'estimator' must be a StraightThrough or a Surrogate, got "
                f"{estimator!r}."
            )
        self.estimator = estimator or StraightThrough()
        self._of_spikes = {
            part.name: self.estimator.numbers(Dynamics(part.neuron))
            for part in network.groups
            if not self.estimator.by_times and part.neuron.threshold is not None
        }
        self.folder = target.build(
            network, precision=precision, learn=self.learn, estimator=estimator
        )
        self.target = target
        self.seconds = 0.0
        self._workers, self._timeout = workers, timeout
        self._real = np.dtype(np.float32 if precision == "single" else np.float64)
        self._start_programs()

    def _start_programs(self):
        network, real = self.network, self._real
        self._numbers = Numbers(network, real)
        self._memory = SharedWeights(
            real,
            network.weight_shapes,
            self._numbers.arrays(),
            list(pairs_of(network)),
        )
        replicas = self.target.replicas or 0
        form = GraphForm(network, real, self.learn or {}, replicas)
        segment = self._memory.segment
        self._pool = Pool(self.folder, form, segment, self._workers, self._timeout)
        self._end = weakref.finalize(self, self._pool.close)
        tell_of_forks(self)

    @property
    def pids(self) -> list[int]:
        """Process ids of the running programs."""
        return self._pool.pids

    def run(
        self,
        weights: Sequence[ArrayLike],
        inputs: Spikes | Mapping | None = None,
        *,
        n_samples: int | None = None,
        parameters: Mapping | None = None,
        delays: Mapping | None = None,
        seed: int = 0,
        keep: bool = False,
        crossings: bool = False,
    ) -> Records:
        """Simulate one batch.

        Parameters
        ----------
        weights : sequence of array_like, shapes `network.weight_shapes`
            Of each connection, in SI units.
        inputs : Spikes, or dict
            Spikes of the only inputs, or of each by its name; and currents of a
            population by its name, as ``{"I_stim": array}`` of shape (n_samples,
            n_steps, n_neurons), or with one neuron where all share it, in SI units.
            None where there are neither.
        n_samples : int, optional
            Needed only there.
        parameters : dict of (str, str) to float or array, optional
            Values of parameters, by population and name, in place of the neuron's.
        delays : dict of str to array_like, optional
            Delays of connections in seconds, in place of their own, in the same shape.
        seed : int
            Of the noise ``xi``: a sample meets the same numbers whenever it is
            simulated with the same seed, in the same place of its batch.
        keep : bool
            Whether a `pull_back` of these records follows: where it needs nothing but
            the crossings, the programs keep them until the next run that is kept, and
            it simulates nothing again.
        crossings : bool
            Whether the records have the crossings, too, where that is so.

        Returns
        -------
        records : Records

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit the network.
        NumbersError
            If a state is not finite any more: population, variable, step and sample
            are named.
        ProgramError
            If a simulating program fails three times in a row.
        """
        with self._call():
            batch = self._batch(
                weights, inputs, n_samples, parameters, {}, delays, seed
            )
            # Of no other run, whichever simulator or process it was.
            kept = 1 + secrets.randbits(62) if keep else 0
            batch = dataclasses.replace(batch, kept=kept, crossings=crossings)
            shards = self._on_all(batch)
            starts = itertools.accumulate((s[1].n_samples for s in shards), initial=0)
            for (records, _), first in zip(shards, starts, strict=False):
                self._check_sound(records.broken, first)
            return Records.concatenate([records for records, _ in shards])

    def pull_back(
        self,
        weights: Sequence[ArrayLike],
        inputs: Spikes | Mapping | None,
        losses: Losses,
        *,
        n_samples: int | None = None,
        parameters: Mapping | None = None,
        delays: Mapping | None = None,
        slope_min: Mapping | None = None,
        seed: int = 0,
        records: Records | None = None,
        by_inputs: bool = True,
    ) -> Derivatives:
        """Return the derivatives of a loss, with the arguments of the `run` before.

        Parameters
        ----------
        losses : Losses
            Derivatives with respect to what `run` returned.
        slope_min : dict of str to float
            Of each population, the floor of dg/dt at a crossing; a surrogate has none.
        records : Records, optional
            What `run` returned with `keep`. Unless they are given, or if programs keep
            those of a later run, samples are simulated again.
        by_inputs : bool
            Whether derivatives by the times of input spikes are wanted; 0 unless so.

        Returns
        -------
        derivatives : Derivatives
            Summed over the samples, in an order that no number of workers changes.

        Raises
        ------
        RuntimeError
            If the simulator has no backward pass.
        TypeError, ValueError
            If an argument does not fit the network, or `losses` not the samples.
        NumbersError
            If a derivative is not finite.
        ProgramError
            If a sample did not repeat its spikes.
        """
        if self.learn is None:
            raise RuntimeError("this NetworkSimulator was made without 'learn'.")
        with self._call():
            of_spikes = self._of_spikes
            if self.estimator.by_times:
                names = (part.name for part in self.network.groups)
                floors = dict.fromkeys(names, LEAST_SLOPE) | (slope_min or {})
                of_spikes = {n: self.estimator.slopes(s) for n, s in floors.items()}
            batch = self._batch(
                weights, inputs, n_samples, parameters, of_spikes, delays, seed
            )
            losses.check(self.network, batch.n_samples)
            kept = 0 if records is None else records.kept
            batch = dataclasses.replace(
                batch, losses=losses, kept=kept, by_inputs=by_inputs
            )
            parts = [part for part, _ in self._on_all(batch)]
            if any(part.differs is not None for part in parts):
                raise ProgramError(
                    "a simulation repeated for its derivatives gave other spikes; "
                    "weights, parameters, inputs and seed must be those of 'run'.",
                    "",
                )
            found = summed(parts)
            for connection in self.network.connections:
                if connection.name in found.delays:
                    ordered = found.delays[connection.name]
                    found.delays[connection.name] = as_given(connection, ordered)
            self._check_derivatives(found)
            return found

    def _batch(self, weights, inputs, n_samples, parameters, of_spikes, delays, seed):
        if not len(self._pool):  # in a forked child
            self._start_programs()
        spikes, currents, n_samples = self.checked_inputs(inputs, n_samples)
        shapes = self.network.weight_shapes
        if len(weights) != len(shapes):
            raise ValueError(
                f"'weights' must have {len(shapes)} arrays, one for each connection, "
                f"got {len(weights)}."
            )
        weights = [np.asarray(given) for given in weights]
        for connection, given, shape in zip(
            self.network.connections, weights, shapes, strict=True
        ):
            check_weights(given, shape, f"connection {connection.name!r}")
        delays = self._steps_of(delays or {})
        numbers = self._numbers.arrays(parameters or {}, of_spikes, delays)
        return Batch(
            inputs=spikes,
            currents=currents,
            seed=as_int(seed, "seed", least=0),
            first_sample=0,
            n_samples=n_samples,
            delays=delays,
            data_at=self._memory.place(weights, numbers),
        )

    def _steps_of(self, delays):
        """Return the delays of each connection in steps."""
        names = [c.name for c in self.network.connections]
        for name in delays:
            if name not in names:
                raise ValueError(
                    f"'delays' name {name!r}; the connections are {', '.join(names)}."
                )
        found = []
        for connection, own in zip(
            self.network.connections, self.network.delays, strict=True
        ):
            if connection.name in delays:
                given = delays[connection.name] * second
                if given.shape != own.shape:
                    raise ValueError(
                        f"'delays' of {connection.name!r} must have shape {own.shape}, "
                        f"got {given.shape}."
                    )
                if not np.isfinite(given).all():
                    raise NumbersError(
                        f"the delays of {connection.name!r} must be finite; a learning "
                        "rate that is too high is the usual cause."
                    )
                own = self.network.steps_of(connection, as_delay(given) / second)
            found.append(own)
        return found

    def _on_all(self, batch):
        """Share a batch among the programs, whole groups of samples to each."""
        m = batch.n_samples
        n_chunks = max(1, min(self.target.n_chunks, m))
        bounds = [k * m // n_chunks for k in range(n_chunks + 1)]
        n_programs = min(len(self._pool), n_chunks)
        ends = [k * n_chunks // n_programs for k in range(n_programs + 1)]
        batches = []
        for first, last in itertools.pairwise(ends):
            start, stop = bounds[first], bounds[last]
            batches.append(
                dataclasses.replace(
                    batch,
                    inputs={n: s.select(start, stop) for n, s in batch.inputs.items()},
                    currents={k: c[start:stop] for k, c in batch.currents.items()},
                    first_sample=start,
                    n_samples=stop - start,
                    losses=batch.losses and batch.losses.select(start, stop),
                    first_chunk=first,
                    bounds=[k - start for k in bounds[first : last + 1]],
                )
            )
        answers, self.seconds = self._pool.run([(b,) for b in batches])
        return list(zip(answers, batches, strict=True))

    def checked_inputs(self, inputs, n_samples=None):
        """Return spikes and currents of a batch as the program reads them."""
        return checked_inputs(self.network, inputs, n_samples, self._real)

    def _check_sound(self, broken, first):
        if broken is not None:
            population, variable, step, sample, neuron = broken
            remedy = "a smaller dt, another method or smaller weights may help"
            if self.network.named[population].neuron.method in ("exact", "linear"):
                remedy += (
                    "; an exact update divides by the difference of time constants, so "
                    "keep learned ones apart by 'bounds'"
                )
            raise NumbersError(
                f"{variable!r} of population {population!r} is not finite any more at "
                f"the end of step {step} of sample {first + sample} (neuron {neuron}); "
                f"{remedy}."
            )

    def _check_derivatives(self, found):
        named = [
            (f"the weights of {c.name!r}", w)
            for c, w in zip(self.network.connections, found.weights, strict=True)
        ]
        named += [(f"{n!r} of {p!r}", g) for (p, n), g in found.parameters.items()]
        named += [(f"the delays of {n!r}", g) for n, g in found.delays.items()]
        for what, values in named:
            if not np.isfinite([values.min(initial=0), values.max(initial=0)]).all():
                raise NumbersError(
                    f"the derivatives by {what} are not finite: along many spikes, one "
                    "almost every step, they have grown without bound; weaker drive, "
                    "a refractory period or a smaller dt help."
                )

    def weight_arrays(self) -> list[np.ndarray]:
        """Return arrays for the weights in the memory that the programs read."""
        return list(self._memory.arrays)

    def _release(self):
        self._end()
        self._memory = None

    def after_fork(self) -> None:
        super().after_fork()
        self._end.detach()
        self._pool.abandon()


def _target_on(device, replicas, arch):
    if one_of(device, "device", DEVICES) == "cuda":
        return CudaNetworkTarget(replicas=replicas, arch=arch).here()
    if not (replicas is None and arch is None):
        raise ValueError("'replicas' and 'arch' belong to the device 'cuda'.")
    return CppNetworkTarget()


def _check_learn(network, learn):
    """Raise ValueError unless there is a backward pass with these derivatives."""
    parts = [part.name for part in network.groups]
    names = [connection.name for connection in network.connections]
    for name, given in learn.items():
        if name not in [*parts, *names]:
            raise ValueError(
                f"'learn' names {name!r}; the populations are {', '.join(parts)}, the "
                f"connections {', '.join(names)}."
            )
        if name in names and not set(given) <= {"delay"}:
            raise ValueError(
                f"'learn' of connection {name!r} may name 'delay', got {list(given)}."
            )
    for part in network.groups:
        adjoint = Adjoint(part.neuron, tuple(learn.get(part.name, ())))
        if part.neuron.threshold is not None:
            _ = adjoint.dynamics.margin  # refuses what is no comparison
    for connection, synapse in zip(network.connections, network.synapses, strict=True):
        if connection.delay_of != OF_CONNECTION:
            _check_meeting(network, connection, synapse)
        for name in learn.get(connection.target, ()):
            if any(value.has(symbol(name)) for value in synapse.added.values()):
                raise ValueError(
                    f"'learn' names {name!r}, which 'on_pre' of {connection.name!r} "
                    "reads; what a synapse is scaled by is learned as its weight."
                )


def _check_meeting(network, connection, synapse):
    """Raise ValueError if spikes with delays of their own meet what all neurons share.

    What they meet is kept for each neuron.
    """
    part = network.named[connection.target]
    adjoint = Adjoint(part.neuron)
    bent = adjoint.bends(network.targeted(part.name))
    changing = {"t", *part.neuron.shared_currents} & synapse.met(adjoint, bent)
    if changing:
        raise ValueError(
            f"the delays of {connection.name!r} differ, and the rates of "
            f"{part.name!r} depend on what a spike adds together with "
            f"{changing.pop()!r}, which all neurons share; a current of each "
            "neuron, I(t, i), or one delay is needed."
        )
