"""What joins two populations, as a torch module, and how strong it is at first."""

import threading

import torch
from torch import nn

from bsnn.presets import PRESETS


class Connection(nn.Module):
    """Weights from each neuron of one population to each of another.

    A module of its own, so that torch's hooks, pruning and parametrizations take hold
    of the weights. Called, it returns those that are simulated.

    Parameters
    ----------
    weight : Tensor, shape (n_pre, n_post), or (n_weights,) of a pattern
        In Hz; in SI units in a network of any neurons.
    delay : Parameter, optional
        In milliseconds, where it is learned; None where it is not.
    constraints : sequence of Constraint
        What turns `weight` into what is simulated, one after another.

    Attributes
    ----------
    weight, delay : Parameter
    """

    def __init__(self, weight, delay=None, constraints=()):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_parameter("delay", delay)
        self.constraints = nn.ModuleList(constraints) if constraints else ()
        self.shape, self.dtype = tuple(weight.shape), weight.dtype

    def forward(self):
        weight = self.weight
        for constraint in self.constraints:
            weight = constraint(weight)
        return weight

    def read(self, name):
        """Return the weights, if the simulation can take them as they are.

        Raises
        ------
        TypeError
            If they are not on the CPU, or in another precision than the simulation.
        """
        weight = self()
        if weight.dtype != self.dtype or not weight.is_cpu:
            raise self._refusal(f"'weight' of {name}", weight)
        return weight

    def _apply(self, fn, recurse=True):
        moved = fn(torch.empty(1, dtype=self.dtype, device="cpu"))
        if moved.dtype != self.dtype or not moved.is_cpu:
            raise self._refusal("'weight' of a connection", moved)
        return super()._apply(fn, recurse)

    def _refusal(self, what, found):
        return TypeError(
            f"{what} must stay {self.dtype} on the CPU, as it is simulated, got "
            f"{found.dtype} on {found.device}; SpikingNetwork takes "
            "precision='single' or 'double', and backend='cuda' for a GPU."
        )

    def __getstate__(self):
        # Pruning leaves here what it computed at the last forward pass, and will again.
        return {
            name: value.detach() if isinstance(value, torch.Tensor) else value
            for name, value in vars(self).items()
        }

    def extra_repr(self):
        return " -> ".join(map(str, self.shape))


class Count:
    """A number to which several threads may add."""

    def __init__(self, value=0):
        self.value, self._lock = value, threading.Lock()

    def add(self, amount):
        with self._lock:
            self.value += amount

    def __reduce__(self):
        return Count, (self.value,)


def mean_weights(model, drive=PRESETS["default"]["initial_drive"]):
    """Return the mean of each layer's initial weights, in Hz.

    It is zero except in the last layer, where one spike of each neuron below lifts an
    output to `drive` thresholds on average. An output that never fires has no spike
    time, hence no gradient, and its label may be lost.
    """
    n_pre, neuron = model.weight_shapes[-1][0], model.neurons[-1]
    last = drive * neuron.v_threshold / (n_pre * neuron.peak_response)
    return [0.0] * (model.n_layers - 1) + [last]
