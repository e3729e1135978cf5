"""A model with trainable weights, as a torch module."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from bsnn.equations.estimators import StraightThrough
from bsnn.equations.units import as_int, in_hertz, one_of, per_layer
from bsnn.errors import BackendUnavailable
from bsnn.gate import spikes_for
from bsnn.machine import n_cores
from bsnn.model import Model
from bsnn.network import Network
from bsnn.processes.forks import tell_of_forks
from bsnn.simulators.base import Simulator
from bsnn.simulators.choose import make_simulator
from bsnn.simulators.turns import closed_error
from bsnn.spikes import Spikes

from .connection import Connection, Count, mean_weights
from .derived_network import DerivedNetwork
from .linear import gradient, kernel
from .spike_times import (
    LayerSpikes,
    SpikeTimes,
    arrivals,
    crossings,
    down_the_chain,
    relative_slopes,
)

BACKENDS = ("native", "torch", "cuda")
PRECISION = {"single": np.float32, "double": np.float64}


def _refused(name):
    def refuse(self, *_, **__):
        raise TypeError(
            f"'{name}' needs a module that returns tensors; call it on one of "
            "network.connections, or register a hook at the times of a layer."
        )

    return refuse


class SpikingNetwork(nn.Module):
    r"""Fully connected spiking layers with exact spike-time gradients.

    ``SpikingNetwork(network, ...)`` with a `Network` of any neurons returns its
    `DerivedNetwork`, which takes other arguments; what follows is of a `Model`.

    The forward pass runs the model's simulator. The backward pass is that of
    `bsnn.training.linear.gradient`: straight-through across the time grid, exact
    inside a bin.

    Parameters
    ----------
    model : Model
    seed : int
        Of the initial weights.
    low, high : float or Quantity, or sequence of one for each layer, optional
        The initial weights are uniform between them. Bare numbers are in Hz. Unless
        given, 1 Hz below and above `mean_weights` of the model.
    precision : {"single", "double"}
        Of weights and simulation.
    slope_min : float or Quantity, or sequence of one for each layer, optional
        Slopes of v at a crossing count as at least this many Hz in the gradient, which
        grows without bound where v only grazes the threshold: in all layers, or in
        each. Unless given, `relative_slopes` of the model.
    estimator : StraightThrough, optional
        What stands for the derivative of a spike; `StraightThrough()` unless given.
        Where in its step a spike crossed is asked under the rule "grid" alone.
    backend : {"native", "torch", "cuda"}
        Compiled kernel, or pure torch on the CPU or GPU; they agree to rounding. On the
        CPU sums are taken in a fixed order, so that the same seed gives the same bits;
        on a GPU torch.use_deterministic_algorithms(True) sees to that.
    n_threads : int, optional
        Threads of the native gradient, one per core unless given. The result does not
        depend on it.
    **simulator
        Options of `make_simulator`, such as ``workers``.

    Attributes
    ----------
    connections : ModuleList of Connection
        Each has the `weight` of one layer: pruning, parametrizations and hooks of
        weights are registered there.
    backend : str
        Which implementation of the gradient runs.
    slope_min : tuple of float
        Of each layer, in Hz.

    Notes
    -----
    Threads may share a network: calls take turns, and each has the result of its own
    inputs with the weights that it found. A forked child, and a copy (deepcopy, pickle,
    torch.save), have weights and programs of their own. The programs end with the last
    reference to the network; its weights stay.
    """

    def __new__(cls, model=None, **options):  # without arguments where it is copied
        if isinstance(model, Network):
            return DerivedNetwork(model, **options)
        return super().__new__(cls)

    def __init__(
        self,
        model: Model,
        *,
        seed: int = 0,
        low: float | Sequence[float] | None = None,
        high: float | Sequence[float] | None = None,
        precision: str = "single",
        slope_min: float | Sequence[float] | None = None,
        estimator: StraightThrough | None = None,
        backend: str = "native",
        n_threads: int | None = None,
        **simulator,
    ):
        super().__init__()
        if not isinstance(model, Model):
            raise TypeError(f"'model' must be a Model or a Network, got {model!r}.")
        one_of(precision, "precision", PRECISION)
        self.estimator = _checked(estimator, model)
        if slope_min is None:
            slope_min = relative_slopes(model)
        slopes = per_layer(slope_min, model.n_layers, "slope_min", in_hertz)
        if min(slopes) <= 0:
            raise ValueError(f"'slope_min' must be positive, got {slope_min}.")
        seed = as_int(seed, "seed", least=0)
        if n_threads is None:
            n_threads = n_cores()
        one_of(backend, "backend", BACKENDS)
        if backend == "cuda" and not torch.cuda.is_available():
            raise BackendUnavailable(
                "'backend' is 'cuda' but this torch finds no GPU; "
                "install a torch with CUDA, or take 'native'."
            )
        means = mean_weights(model)
        low = [mean - 1 for mean in means] if low is None else low
        high = [mean + 1 for mean in means] if high is None else high
        bounds = [
            per_layer(bound, model.n_layers, name, in_hertz)
            for name, bound in (("low", low), ("high", high))
        ]
        if np.greater(*bounds).any():
            raise ValueError(f"'low' must not exceed 'high', got {low} and {high}.")
        self.model, self.slope_min, self._clamped = model, tuple(slopes), Count()
        self.backend = backend
        self._n_threads = as_int(n_threads, "n_threads", least=1)
        if model.time_rule.clock_driven:
            simulator = {"precision": precision, **simulator}
        rng = np.random.default_rng(seed)  # before there are programs to end
        self._simulator = make_simulator(model, **simulator)
        if model.time_rule.clock_driven:
            arrays = self._simulator.weight_arrays()
        else:
            arrays = [np.empty(s, PRECISION[precision]) for s in model.weight_shapes]
        for array, *between in zip(arrays, *bounds, strict=True):
            array[:] = rng.uniform(*between, array.shape)
        self.precision = precision
        self.connections = nn.ModuleList(
            Connection(torch.from_numpy(array)) for array in arrays
        )
        tell_of_forks(self)

    # Torch would accept these hooks, and never call them.
    register_backward_hook = _refused("register_backward_hook")
    register_full_backward_hook = _refused("register_full_backward_hook")
    register_full_backward_pre_hook = _refused("register_full_backward_pre_hook")

    @property
    def weights(self) -> tuple[torch.Tensor, ...]:
        """What is simulated: a (n_pre, n_post) tensor for each layer, in Hz."""
        return tuple(connection() for connection in self.connections)

    @property
    def n_clamped(self) -> int:
        """Slopes below `slope_min` that the backward passes have met so far."""
        return self._clamped.value

    @n_clamped.setter
    def n_clamped(self, value):
        self._clamped = Count(value)

    def forward(self, inputs: Spikes | ArrayLike) -> tuple[LayerSpikes, ...]:
        """Simulate a batch.

        Parameters
        ----------
        inputs : Spikes, array_like or tensor
            As for `Simulator.run`.

        Returns
        -------
        layers : tuple of LayerSpikes
            Every layer after the input; the last is the output.

        Raises
        ------
        RuntimeError
            If the network has been closed, or its weights change meanwhile.
        """
        if torch.compiler.is_compiling():  # which cannot look inside
            return torch.compiler.disable(self._forward)(inputs)
        return self._forward(inputs)

    def _forward(self, inputs):
        inputs = spikes_for(self.model, inputs)
        with self._weights_read() as weights:
            records = self._run(weights, inputs)
            gradients = []
            if torch.is_grad_enabled() and any(w.requires_grad for w in weights):
                gradients = self._prepare_gradients(inputs, records, weights)
            times = SpikeTimes.apply(self._clamped, gradients, records, *weights)
        return tuple(
            LayerSpikes(record=record, time=time)
            for record, time in zip(records, times, strict=True)
        )

    def named_weights(self) -> list[tuple[str, nn.Parameter]]:
        """Return the weights of each layer with what messages call them."""
        layers = enumerate(self.weights, start=1)
        return [(f"layer {layer}", weight) for layer, weight in layers]

    @property
    def simulator(self) -> Simulator:
        """The `Simulator` that runs the model."""
        return self._simulator

    def simulate(self, inputs: Spikes | ArrayLike) -> list[Spikes]:
        """Return each layer's `Spikes` for a batch, without gradients."""
        with self._weights_read() as weights:
            return self._run(weights, inputs)

    def time_gradients(
        self,
        inputs: Spikes | ArrayLike,
        loss: Callable[[Sequence[LayerSpikes]], torch.Tensor],
    ) -> list[tuple[Spikes, torch.Tensor]]:
        """Return the spikes of each layer, and what a loss makes of each one's time.

        That is dL/dT, for each spike as if its time were free: by the loss itself, and
        by what the spike does to the layers above. Gradients of weights are left alone.

        Parameters
        ----------
        inputs : Spikes, array_like or tensor
            As for `Simulator.run`.
        loss : callable
            ``loss(layers)`` returns a scalar Tensor.

        Returns
        -------
        layers : list of (Spikes, Tensor of shape (n_spikes,), float64, 1/s)

        Raises
        ------
        TypeError
            If the loss returns something else.
        RuntimeError
            If the network has been closed, or its weights change meanwhile.
        """
        inputs = spikes_for(self.model, inputs)
        with self._weights_read() as weights:
            records = self._run(weights, inputs)
            gradients = self._prepare_gradients(inputs, records, weights)
        times = [torch.tensor(r.arrival, requires_grad=True) for r in records]
        layers = tuple(
            LayerSpikes(record=record, time=time)
            for record, time in zip(records, times, strict=True)
        )
        value = loss(layers)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise TypeError(f"'loss' must return a scalar Tensor, got {value!r}.")
        of_loss = torch.autograd.grad(value, times, allow_unused=True)
        swept = down_the_chain(gradients, records, of_loss)
        found = [grad_time for grad_time, _ in swept]
        return list(zip(records, reversed(found), strict=True))

    def turn(self) -> contextlib.AbstractContextManager:
        """Return a context in which no call of another thread begins.

        Within it the weights are changed if other threads use the network.
        """
        return self._simulator.turn()

    @contextlib.contextmanager
    def _weights_read(self):
        """Take a turn with the weights; raise RuntimeError if they change in it."""
        with self.turn():
            if self._simulator.closed:
                raise closed_error("SpikingNetwork")
            weights = [
                connection.read(f"layer {layer}")
                for layer, connection in enumerate(self.connections, start=1)
            ]
            versions = _versions(weights)
            yield weights
            if _versions(weights) != versions:
                raise RuntimeError(
                    "the weights were changed while they were simulated; a thread that "
                    "changes them beside others does so within 'with network.turn():'."
                )

    def _run(self, weights, inputs):
        return self._simulator.run([w.detach().numpy() for w in weights], inputs)

    def _prepare_gradients(self, inputs, records, weights):
        """Return each layer's gradient as a function of dL/dT of its spikes.

        The first layers come first: the last, which is needed at once, has few spikes.
        """
        return [
            self._prepare_gradient(
                arrivals(records[layer - 1] if layer else inputs),
                records[layer],
                weights[layer].detach(),
                self.model.neurons[layer],
                slope_min=self.slope_min[layer],
                need_pre=layer > 0,
            )
            for layer in range(len(records))
        ]

    def _prepare_gradient(self, pre, record, weight, neuron, **options):
        crossing = self.estimator.crossing
        _, steepest = self.estimator.slopes(options["slope_min"])
        if self.backend == "native":
            recover = self.estimator == StraightThrough()
            if recover and kernel.can_recover(record, neuron):
                post = kernel.bin_states(record, neuron)
            else:
                post = crossings(record, neuron, "cpu", crossing, steepest)
            options["n_threads"] = self._n_threads
            return kernel.PreparedGradient(pre, post, weight, neuron.modes, **options)
        device = "cuda" if self.backend == "cuda" else "cpu"
        post = crossings(record, neuron, device, crossing, steepest)
        return lambda grad_sent: gradient.layer_gradient_on(
            device, pre, post, grad_sent, weight, neuron.modes, **options
        )

    def extra_repr(self) -> str:
        return (
            f"{self.model.in_short()}, precision={self.precision!r}, "
            f"backend={self.backend!r}"
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        tell_of_forks(self)
        if not self.model.time_rule.clock_driven or self._simulator.closed:
            return
        # Weights of a copy go where its own programs read them.
        for connection, array in zip(
            self.connections, self._simulator.weight_arrays(), strict=True
        ):
            weight = connection._parameters.get("weight")
            if weight is not None and not weight.is_shared():
                array[:] = weight.detach().numpy()
                weight.data = torch.from_numpy(array)

    def after_fork(self) -> None:
        """Do without OpenMP in a forked child, where its threads are not.

        Torch would wait for them without end; its DataLoader does the same.
        """
        torch.set_num_threads(1)

    def _load_from_state_dict(self, state_dict, prefix, *arguments):
        for layer in range(len(self.connections)):  # names of version 0.1
            old = f"{prefix}weights.{layer}"
            if old in state_dict:
                new = f"{prefix}connections.{layer}.weight"
                state_dict[new] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def close(self) -> None:
        """End the simulator's processes."""
        self._simulator.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _checked(estimator, model):
    estimator = StraightThrough() if estimator is None else estimator
    if not isinstance(estimator, StraightThrough):
        raise TypeError(
            f"'estimator' must be a StraightThrough, got {estimator!r}; surrogate "
            "gradients are those of a Network: see `bsnn.training.DerivedNetwork`."
        )
    if estimator.crossing != "exact" and not model.time_rule.clock_driven:
        raise ValueError(
            f"'estimator' takes crossings as {estimator.crossing!r}, but the rule "
            f"{model.rule!r} finds them exactly; use StraightThrough()."
        )
    return estimator


def _versions(weights):
    # Tensors made in inference mode have none.
    return [None if w.is_inference() else w._version for w in weights]
