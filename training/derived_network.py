"""A network of any neurons, trained through the adjoint derived from their texts."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from brian2.units import Quantity, second
from numpy.typing import ArrayLike
from torch import nn

from bsnn.equations.dynamics import Dynamics
from bsnn.equations.estimators import StraightThrough, Surrogate
from bsnn.equations.synapse import WEIGHT
from bsnn.equations.units import as_positive, one_of
from bsnn.network import Network
from bsnn.program.graph_form import Losses
from bsnn.simulators.network import LEAST_SLOPE, NetworkSimulator
from bsnn.spikes import Spikes

from .connection import Connection, Count
from .constraints import Constraint, fitted
from .learned import (
    DELAY,
    MILLISECOND,
    all_bounds,
    first_delay,
    learned_parameters,
    plain,
    split_learn,
)
from .linear.chain import chain_modes, prepared_gradients
from .spike_times import LayerSpikes, SpikeTimes

# Of the slope of a neuron held at threshold: steady drive that is a tenth stronger than
# what holds it there passes unchanged.
_RELATIVE_SLOPE = 0.1
_NOTHING = types.MappingProxyType({})
_DTYPES = {"single": torch.float32, "double": torch.float64}


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity(LayerSpikes):
    """What one population did: `LayerSpikes`, and its traces.

    Parameters
    ----------
    record : Spikes or None
        None of neurons that have no threshold.
    time : Tensor, shape (n_spikes,), float64, or None
        When each spike takes effect, in seconds.
    raster : Tensor, shape (n_samples, n_steps, n_neurons), optional
        1 where a neuron fires, differentiable, under a surrogate.
    trace : dict of str to Tensor, shape (n_samples, n_steps, n_neurons)
        Each recorded variable at the start of each step, in SI units.
    """

    trace: Mapping[str, torch.Tensor]


class DerivedNetwork(nn.Module):
    r"""A `Network` as a torch module.

    The forward pass runs its resident program; the backward pass is the adjoint of
    `bsnn.equations.adjoint`, swept backwards in time by the same program.

    Parameters
    ----------
    network : Network
    weights : dict of str to array_like, Quantity or (low, high)
        Of each connection by its name, shape (n_pre, n_post), or (n_weights,) where it
        has a pattern; or two numbers, between which they are drawn uniformly. Bare
        numbers are in SI units.
    learn : dict of str to sequence of str
        Of each population, its parameters that are learned, and currents whose
        derivatives are wanted; of each connection, by its name or as (source, target),
        "w", "delay", both or neither: its weights unless said otherwise.
    bounds : dict of str to dict of str to (Quantity, Quantity), optional
        Between which what is learned stays, by population or connection and name.
        Delays never leave a sample.
    constraints : dict of str to Constraint, or sequence of them, optional
        What weights may be, by connection: see `bsnn.training.constraints`.
    seed : int
        Of the initial weights.
    precision : {"single", "double"}
        Of weights and simulation.
    slope_min : dict of str to float, optional
        Of populations, the least slope of the threshold's margin at a crossing, in SI
        units per second. Unless given, a tenth of how fast it falls in a neuron that is
        held at threshold.
    workers : int, optional
        Processes that share each batch; one per core unless given.
    gradient : {"modes", "adjoint"}, optional
        How derivatives by the weights are found: "modes" is the kernel of
        `bsnn.training.linear`, for chains of linear neurons with a soft reset;
        "adjoint" the derived adjoint, for all. They agree to rounding. Unless given,
        "modes" where the algebra allows it and nothing but weights is learned.
    estimator : StraightThrough or Surrogate, optional
        What stands for the derivative of a spike: that of its time, straight-through
        across the time grid, as unless given; or a surrogate, under which the
        population's `raster` is differentiable and its spike times are not.
    device : {"cpp", "cuda"}
        Where the network and its adjoint run: on the cores of this machine, or on its
        first GPU, where derivatives are found by the adjoint. Weights stay in the
        memory of the machine.
    replicas, arch : optional
        As for `NetworkSimulator`.

    Attributes
    ----------
    connections : ModuleDict of Connection
        By the name of the connection: `weight`, and `delay` in milliseconds where it
        is learned, straight-through: simulated are whole steps.
    learned : ModuleDict of ParameterDict
        Learned parameters by population and name, each relative to the size of its
        initial value, so that one learning rate suits all. `values` gives quantities.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit the network.
    """

    def __init__(
        self,
        network: Network,
        *,
        weights: Mapping[str, ArrayLike],
        learn: Mapping[str, Sequence[str]] = types.MappingProxyType({}),
        bounds: Mapping[str, Mapping] = types.MappingProxyType({}),
        constraints: Mapping[str, Constraint] = types.MappingProxyType({}),
        seed: int = 0,
        precision: str = "single",
        slope_min: Mapping[str, float] | None = None,
        workers: int | None = None,
        gradient: str | None = None,
        estimator: StraightThrough | Surrogate | None = None,
        device: str = "cpp",
        replicas: int | None = None,
        arch: float | None = None,
    ):
        super().__init__()
        if not isinstance(network, Network):
            raise TypeError(
                f"'network' must be a Network, got {network!r}; a Model is trained by "
                "SpikingNetwork."
            )
        learn, joined = split_learn(network, learn)
        names = list(joined)
        _check_names("weights", weights, names)
        _check_known("constraints", constraints, names)
        delayed = [name for name, wanted in joined.items() if DELAY in wanted]
        learn |= {name: [DELAY] for name in delayed}
        estimator = StraightThrough() if estimator is None else estimator
        if isinstance(estimator, Surrogate):
            _check_surrogate(gradient, slope_min)
            gradient = "adjoint"
        if device == "cuda":
            if gradient == "modes":
                raise ValueError(
                    "'gradient' must be 'adjoint' on the device 'cuda', got 'modes', "
                    "whose kernel runs on the CPU; leave it out."
                )
            gradient = "adjoint"
        self._modes = _chosen_modes(network, learn, gradient)
        self.network, self.precision = network, precision
        self.estimator = estimator
        self._simulator = NetworkSimulator(
            network,
            learn=learn,
            workers=workers,
            precision=precision,
            estimator=estimator,
            device=device,
            replicas=replicas,
            arch=arch,
        )
        self._clamped = Count()
        self.slope_min = _floors(network, slope_min)
        rng = np.random.default_rng(seed)
        self.connections = nn.ModuleDict()
        for connection, synapse, array in zip(
            network.connections,
            network.synapses,
            self._simulator.weight_arrays(),
            strict=True,
        ):
            array[:] = _initial(
                weights[connection.name], connection, synapse, rng, array
            )
            weight = torch.from_numpy(array)
            given = fitted(
                constraints.get(connection.name, ()),
                weight,
                synapse.unit.dim,
                connection.name,
            )
            self.connections[connection.name] = module = Connection(
                weight,
                first_delay(connection) if connection.name in delayed else None,
                given,
            )
            module.weight.requires_grad_(WEIGHT in joined[connection.name])
        self.learned, self._scale = learned_parameters(
            network, {name: learn[name] for name in learn if name not in joined}
        )
        self._bounds = all_bounds(network, bounds, self._scale, delayed)

    @property
    def n_clamped(self) -> int:
        """Slopes below `slope_min` that the backward passes have met so far."""
        return self._clamped.value

    @property
    def gradient(self) -> str:
        """How derivatives are found: "modes" or "adjoint"."""
        return "modes" if self._modes else "adjoint"

    @property
    def simulator(self) -> NetworkSimulator:
        """The `NetworkSimulator` that runs the network."""
        return self._simulator

    def values(self) -> dict[tuple[str, str], Quantity]:
        """Return what is learned beside weights, with its unit.

        Parameters by population and name, delays by connection and "delay".
        """
        found = {
            (name, DELAY): delay.detach().numpy() * MILLISECOND * second
            for name, delay in self._delays().items()
        }
        for (name, parameter), scale in self._scale.items():
            dimension = self.network.named[name].neuron.dimensions[parameter]
            relative = self.learned[name][parameter].detach().numpy()
            found[name, parameter] = Quantity(scale * relative, dim=dimension)
        return found

    def _delays(self):
        """Return the learned delays in milliseconds, by connection."""
        return {
            name: connection.delay
            for name, connection in self.connections.items()
            if connection.delay is not None
        }

    def _bounded(self):
        delays = self._delays()
        for (name, what), (low, high) in self._bounds.items():
            value = delays[name] if name in delays else self.learned[name][what]
            # Only where it must: a change would spoil earlier calls' backward passes.
            if ((value < low) | (value > high)).any():
                with torch.no_grad():
                    value.clamp_(low, high)

    def forward(
        self,
        inputs: Spikes | Mapping | None = None,
        *,
        n_samples: int | None = None,
        seed: int = 0,
        input_times: bool = False,
    ) -> dict[str, Activity]:
        """Simulate a batch.

        Parameters
        ----------
        inputs : Spikes or dict, optional
            As for `NetworkSimulator.run`; currents may be tensors.
        n_samples : int, optional
            As for `NetworkSimulator.run`.
        seed : int
            Of the noise.
        input_times : bool
            Whether the times of input spikes are wanted as leaves that gather their
            gradients, under the name of the inputs.

        Returns
        -------
        activity : dict of str to Activity
        """
        self._bounded()
        names, delays = list(self._scale), self._delays()
        weights = [c.read(name) for name, c in self.connections.items()]
        relative = [self.learned[n][p] for n, p in names]
        if input_times and not self.estimator.by_times:
            raise ValueError(
                "'input_times' must be left out under a surrogate, which "
                "differentiates no spike times."
            )
        spikes, _, _ = self._simulator.checked_inputs(inputs, n_samples)
        times = {
            name: torch.tensor(given.arrival, requires_grad=input_times)
            for name, given in spikes.items()
        }
        currents = {
            (name, current): values
            for name, given in (inputs.items() if isinstance(inputs, Mapping) else ())
            if name not in spikes
            for current, values in given.items()
            if isinstance(values, torch.Tensor)
        }
        for (name, current), values in currents.items():
            if values.requires_grad and current not in self._simulator.learn.get(
                name, ()
            ):
                raise ValueError(
                    f"current {current!r} of {name!r} requires a gradient, but 'learn' "
                    f"does not name it; pass learn={{{name!r}: [{current!r}]}}."
                )
        records, keep = [], torch.is_grad_enabled()
        if self._modes and not (input_times and keep):
            return self._by_modes(inputs, spikes, times, weights, seed, keep)
        outputs = _Run.apply(
            self,
            records,
            (
                inputs,
                n_samples,
                seed,
                keep,
                names,
                list(delays),
                list(times),
                list(currents),
            ),
            *weights,
            *relative,
            *delays.values(),
            *times.values(),
            *currents.values(),
        )
        (record,) = records
        outputs = iter(outputs)
        fired = dict(zip(record.spikes, outputs, strict=False))
        traced = dict(zip(record.traces, outputs, strict=False))
        rasters = dict(zip(record.spikes, outputs, strict=False))
        return self._activity(spikes, times, record, fired, traced, rasters)

    def _by_modes(self, inputs, spikes, times, weights, seed, keep):
        """Return the activity of a chain of linear neurons, with its fast gradient."""
        matrices = [w.detach().numpy() for w in weights]
        record = self._simulator.run(matrices, inputs, seed=seed, crossings=keep)
        fired = list(record.spikes.values())
        gradients = []
        if keep and any(w.requires_grad for w in weights):
            (entering,) = spikes.values()
            gradients = prepared_gradients(
                self.network, entering, record, weights, self._modes, self._slopes()
            )
        outputs = SpikeTimes.apply(self._clamped, gradients, fired, *weights)
        named = dict(zip(record.spikes, outputs, strict=True))
        return self._activity(spikes, times, record, named, {})

    def _slopes(self):
        floors = self.slope_min.items()
        return {name: self.estimator.slopes(floor) for name, floor in floors}

    def _activity(self, spikes, times, record, fired, traced, rasters=_NOTHING):
        activity = {
            name: Activity(record=spikes[name], time=time, trace={})
            for name, time in times.items()
        }
        for part in self.network.groups:
            activity[part.name] = Activity(
                record=record.spikes.get(part.name),
                time=fired.get(part.name),
                raster=rasters.get(part.name),
                trace={v: traced[part.name, v] for v in part.record},
            )
        return activity

    def close(self) -> None:
        """End the simulator's processes."""
        self._simulator.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _chosen_modes(network, learn, gradient):
    """Return the modes of the layers, or None where the derived adjoint is used."""
    if gradient is not None:
        one_of(gradient, "gradient", ("modes", "adjoint"))
    if gradient == "adjoint":
        return None
    recorded = [part.name for part in network.groups if part.record]
    modes = None
    if not any(learn.values()) and not recorded:
        modes = chain_modes(network)
    if gradient == "modes" and modes is None:
        raise ValueError(
            "'gradient' is 'modes', which needs a chain of linear neurons with a soft "
            "reset that learns weights alone and records no traces; leave it out."
        )
    return modes


class _Run(torch.autograd.Function):
    """Times and traces as a function of all that made them."""

    @staticmethod
    def forward(ctx, net, records, given, *tensors):
        inputs, n_samples, seed, keep, *_ = given
        record = net._simulator.run(
            inputs=inputs,
            n_samples=n_samples,
            seed=seed,
            keep=keep,
            **_arguments(net, given, tensors),
        )
        records.append(record)
        ctx.net, ctx.given, ctx.record = net, given, record
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        times = (torch.from_numpy(s.arrival.copy()) for s in record.spikes.values())
        traces = (torch.from_numpy(t) for t in record.traces.values())
        if net.estimator.by_times:
            return (*times, *traces)
        times = tuple(times)
        ctx.mark_non_differentiable(*times)
        dtype, n_steps = _DTYPES[net.precision], net.network.n_steps
        rasters = (_raster(s, n_steps, dtype) for s in record.spikes.values())
        return (*times, *traces, *rasters)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grads):
        tensors = ctx.saved_tensors  # raises if one has changed since
        net, record = ctx.net, ctx.record
        inputs, n_samples, seed, _, names, delayed, timed, currents = ctx.given
        n_before = len(net.connections) + len(names) + len(delayed)
        wanted, n_fired = ctx.needs_input_grad[3:], len(record.spikes)

        def given(grad, like):
            return np.broadcast_to(0.0, like) if grad is None else grad.numpy()

        losses = Losses(
            spikes={
                name: (s.offset, given(grad, s.n_spikes))
                for (name, s), grad in zip(
                    record.spikes.items(), grads[:n_fired], strict=True
                )
            },
            traces={
                key: given(grad, trace.shape)
                for (key, trace), grad in zip(
                    record.traces.items(),
                    grads[n_fired : n_fired + len(record.traces)],
                    strict=True,
                )
            },
            existing={
                name: grad.numpy()
                for name, grad in zip(
                    record.spikes, grads[n_fired + len(record.traces) :], strict=False
                )
                if grad is not None
            },
        )
        found = net._simulator.pull_back(
            inputs=inputs,
            losses=losses,
            n_samples=n_samples,
            slope_min=net.slope_min,
            seed=seed,
            records=record,
            by_inputs=any(wanted[n_before:][: len(timed)]),
            **_arguments(net, ctx.given, tensors),
        )
        net._clamped.add(found.n_clamped)
        by_parameter = [
            torch.from_numpy(net._scale[key] * found.parameters[key]).reshape(
                net.learned[key[0]][key[1]].shape
            )
            for key in names
        ]
        by_delay = [
            torch.from_numpy(np.asarray(MILLISECOND * found.delays[name], float))
            for name in delayed
        ]
        by_current = [
            torch.from_numpy(found.currents[key]) if key in found.currents else None
            for key in currents
        ]
        return (
            None,
            None,
            None,
            *(torch.from_numpy(w) for w in found.weights),
            *by_parameter,
            *by_delay,
            *(torch.from_numpy(found.inputs[name]) for name in timed),
            *by_current,
        )


def _arguments(net, given, tensors):
    """Return weights, parameters and delays in SI units, for the simulator."""
    _, _, _, _, names, delayed, *_ = given
    values = [tensor.detach().numpy() for tensor in tensors]
    weights, values = values[: len(net.connections)], values[len(net.connections) :]
    relative, delays = values[: len(names)], values[len(names) :][: len(delayed)]
    scaled = zip(names, relative, strict=True)
    in_seconds = zip(delayed, delays, strict=True)
    return {
        "weights": weights,
        "parameters": {key: net._scale[key] * value for key, value in scaled},
        "delays": {name: MILLISECOND * value for name, value in in_seconds},
    }


def _raster(spikes, n_steps, dtype):
    """Return 1 where a neuron fires, shape (n_samples, n_steps, n_neurons)."""
    raster = torch.zeros(spikes.n_samples, n_steps, spikes.n_neurons, dtype=dtype)
    raster.numpy()[spikes.sample, spikes.step, spikes.neuron] = 1
    return raster


def _check_surrogate(gradient, slope_min):
    for argument, given, why in (
        ("gradient", gradient == "modes", "the modes differentiate spike times"),
        ("slope_min", slope_min, "no crossing has a slope"),
    ):
        if given:
            raise ValueError(
                f"'{argument}' and a surrogate 'estimator' exclude each other: {why}; "
                "leave out one of them."
            )


def _floors(network, given):
    """Return the least slope of each population that fires."""
    firing = [part for part in network.groups if part.neuron.threshold is not None]
    given = {} if given is None else given
    _check_known("slope_min", given, [part.name for part in firing])
    return {part.name: _floor(part.neuron) for part in firing} | {
        name: as_positive(floor, f"slope_min of {name}")
        for name, floor in given.items()
    }


def _floor(neuron):
    return max(_RELATIVE_SLOPE * Dynamics(neuron).slope_scale(), LEAST_SLOPE)


def _initial(given, connection, synapse, rng, array):
    where = f"weights of {connection.name!r}"
    if isinstance(given, tuple):
        low, high = (plain(x, synapse.unit.dim, where) for x in given)
        if not low <= high:
            raise ValueError(f"'{where}' must rise from low to high, got {given}.")
        return rng.uniform(low, high, array.shape)
    values = plain(given, synapse.unit.dim, where)
    if np.shape(values) != array.shape:
        raise ValueError(
            f"'{where}' must have shape {array.shape}, got {np.shape(values)}."
        )
    return values


def _check_known(argument, given, names):
    if not isinstance(given, Mapping):
        raise TypeError(f"'{argument}' must be a dict by name, got {given!r}.")
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(
            f"'{argument}' must name {', '.join(names)}; {unknown[0]!r} is unknown."
        )


def _check_names(argument, given, names):
    _check_known(argument, given, names)
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(
            f"'{argument}' must name {', '.join(names)}; {missing[0]!r} is missing."
        )
