"""A network of any neurons as a training of layers sees it: the output last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from bsnn.model import Model
from bsnn.readout import Readout
from bsnn.spikes import Spikes

from .derived_network import Activity, DerivedNetwork


class Layers(NamedTuple):
    """What is measured of a network, and what its input spikes must fit.

    Parameters
    ----------
    names : tuple of str
        Populations that fire, and the output last.
    layer_sizes : tuple of int
        Their neurons.
    dt_seconds, duration_seconds : float
    """

    names: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    dt_seconds: float
    duration_seconds: float

    @property
    def n_layers(self) -> int:
        return len(self.names)


class LayeredActivity(tuple):
    """The `Activity` of each of the layers; that of all populations by name."""

    activity: Mapping[str, Activity]

    def __new__(cls, activity, names):
        layers = super().__new__(cls, [activity[name] for name in names])
        layers.activity = activity
        return layers


class LayeredNetwork(nn.Module):
    """A `DerivedNetwork` that takes spikes and returns layers, as `SpikingNetwork`.

    Parameters
    ----------
    network : DerivedNetwork
    readout : Readout
        With its population, which is the last of the layers.
    model : Model, optional
        Of a chain.

    Attributes
    ----------
    model : Layers or Model
    backend : str
        How the gradient is found.
    """

    def __init__(
        self, network: DerivedNetwork, readout: Readout, model: Model | None = None
    ):
        super().__init__()
        self.network, self.readout = network, readout
        graph = network.network
        names = [
            part.name
            for part in graph.groups
            if part.neuron.threshold is not None and part.name != readout.population
        ]
        names.append(readout.population)
        self._names = tuple(names)
        self.model = model or Layers(
            self._names,
            tuple(graph.named[name].size for name in names),
            graph.dt_seconds,
            graph.duration_seconds,
        )
        self.backend = network.gradient
        self._clamped_before = 0

    def named_weights(self) -> list[tuple[str, nn.Parameter]]:
        """Return all that is learned, and weights that are not, with their names."""
        found = []
        for name, connection in self.network.connections.items():
            found.append((name, connection.weight))
            if connection.delay is not None:
                found.append((f"the delays of {name}", connection.delay))
        for population, parameters in self.network.learned.items():
            found += [(f"{p} of {population}", v) for p, v in parameters.items()]
        return found

    @property
    def weights(self) -> list[nn.Parameter]:
        return [weight for _, weight in self.named_weights()]

    @property
    def n_clamped(self) -> int:
        return self._clamped_before + self.network.n_clamped

    @n_clamped.setter
    def n_clamped(self, value):
        self._clamped_before = value - self.network.n_clamped

    def forward(self, inputs: Spikes) -> LayeredActivity:
        activity = self.network(inputs)
        return LayeredActivity(activity, self._names)

    def simulate(self, inputs: Spikes) -> list[Spikes]:
        """Return the `Spikes` of each population that fires, without gradients."""
        with torch.no_grad():
            layers = self(inputs)
        return [layer.record for layer in layers if layer.record is not None]

    def entering(self, inputs: Mapping) -> list[Spikes]:
        """Return the spikes among inputs by name, in the order of the network."""
        return [inputs[part.name] for part in self.network.network.inputs]

    def close(self) -> None:
        """End the simulator's processes."""
        self.network.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
