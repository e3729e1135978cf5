"""What `bsnn.Network.from_brian2` gives: a network, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from brian2.core.namespace import get_local_namespace
from brian2.groups.neurongroup import NeuronGroup
from brian2.input.spikegeneratorgroup import SpikeGeneratorGroup
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.monitors.statemonitor import StateMonitor
from brian2.synapses.synapses import Synapses
from brian2.units import Quantity

from bsnn.equations.synapse import WEIGHT
from bsnn.equations.units import as_int
from bsnn.spikes import Spikes

from .groups import neuron_of, put_parameter, sampled
from .joined import Joined, joined, whole
from .objects import SOURCES, objects_of
from .refusal import refusal
from .sources import drawn, generated, rates_of


@dataclass(frozen=True, eq=False)
class Found:
    """What Brian2 objects say, as arguments of `Inputs`, `Population`, `Connection`."""

    inputs: list[dict]
    populations: list[dict]
    connections: list[dict]
    dt: Quantity
    objects: dict
    timed: dict
    joined: dict[str, Joined]
    namespace: dict


def read(given, namespace, level):
    """Read Brian2 objects.

    Parameters
    ----------
    given : brian2.Network, or objects in containers
    namespace : Mapping or None
        Of the run; None for the names that are seen `level` calls above.
    level : int

    Returns
    -------
    Found
    """
    if namespace is None:
        namespace = get_local_namespace(level + 1)
    if not isinstance(namespace, Mapping):
        raise TypeError(f"'namespace' must be a dict, got {namespace!r}.")
    objects = objects_of(given)
    groups = [thing for thing in objects if isinstance(thing, NeuronGroup)]
    sources = [thing for thing in objects if isinstance(thing, SOURCES)]
    synapses = [thing for thing in objects if isinstance(thing, Synapses)]
    # Brian2's own order: sums that are rounded come out the same.
    synapses.sort(key=lambda s: [(p.order, p.name) for p in s._pathways])
    links = {s.name: joined(s, namespace) for s in synapses}
    driven = {group.name: set() for group in groups}
    for link in links.values():
        driven[link.arguments["target"]].update(link.on_pre.targets)
    neurons = {g.name: neuron_of(g, namespace, driven[g.name]) for g in groups}
    records = _records(objects, neurons)
    for link in links.values():
        _check_weight_name(link, neurons)
    return Found(
        inputs=[{"name": s.name, "size": int(s.N)} for s in sources],
        populations=[
            {
                "name": group.name,
                "size": int(group.N),
                "neuron": neurons[group.name][0],
                "record": records[group.name],
            }
            for group in groups
        ],
        connections=[link.arguments for link in links.values()],
        dt=groups[0].clock.dt,
        objects={thing.name: thing for thing in (*groups, *sources)},
        timed={name: timed for name, (_, timed) in neurons.items() if timed},
        joined=links,
        namespace=namespace,
    )


def _records(objects, neurons):
    """Return the variables that monitors record, by the name of the group."""
    found = {name: [] for name in neurons}
    for monitor in objects:
        if isinstance(monitor, SpikeMonitor) and (
            monitor.record_variables - {"i", "t"}
        ):
            raise refusal(
                monitor,
                "it records more than spikes; record variables by a StateMonitor.",
            )
        if not isinstance(monitor, StateMonitor) or not monitor.n_indices:
            continue
        group = whole(monitor.source)
        states = neurons[group.name][0].states if group.name in neurons else ()
        for name in monitor.record_variables:
            if name not in states:
                raise refusal(
                    monitor,
                    f"it records {name!r}, which is no variable that changes in "
                    f"{group.name!r}; they are {', '.join(states) or 'none'}. Record "
                    "those, and compute others from them.",
                )
            if name not in found[group.name]:
                found[group.name].append(name)
    return found


def _check_weight_name(link, neurons):
    target = link.arguments["target"]
    if WEIGHT in neurons[target][0].dimensions:
        raise refusal(
            link.synapses,
            f"its target {target!r} has a variable called {WEIGHT!r}, which is the "
            f"weight in a connection; call it '{WEIGHT}_{target}' or the like.",
        )


class TakenNetwork:
    """A network of Brian2 objects as a `Network`, and the way back.

    Made by `Network.from_brian2`.

    Parameters
    ----------
    network : Network
    found : Found

    Attributes
    ----------
    network : Network
        Its populations and connections are called as the Brian2 objects are.
    weights : dict of str to ndarray, shapes `network.weight_shapes`
        Of each connection by its name, as they were when taken; in SI units.
    """

    def __init__(self, network, found):
        self.network, self._found = network, found
        self.weights = {name: link.weights for name, link in found.joined.items()}
        n_steps, dt = network.n_steps, network.dt_seconds
        self._generated, self._rates = {}, {}
        for part in network.inputs:
            source = found.objects[part.name]
            if isinstance(source, SpikeGeneratorGroup):
                self._generated[part.name] = generated(source, n_steps)
            else:
                self._rates[part.name] = rates_of(source, found.namespace, n_steps)
        self._currents = {
            name: {
                current: sampled(found.objects[name], array, dt, n_steps)
                for current, array in timed.items()
            }
            for name, timed in found.timed.items()
        }

    def __repr__(self):
        return f"TakenNetwork({', '.join(self.network.named)})"

    def inputs(self, n_samples: int = 1, *, seed: int = 0) -> dict:
        """Return what a `DerivedNetwork` or a `NetworkSimulator` runs on.

        Parameters
        ----------
        n_samples : int
            Each has the same spikes of a ``SpikeGeneratorGroup``, the same values of a
            ``TimedArray``, and spikes of its own of a ``PoissonGroup``.
        seed : int
            Of those.

        Returns
        -------
        inputs : dict of str to Spikes, or to dict of str to ndarray
            Spikes by the name of the inputs; currents, of shape (n_samples, n_steps,
            n_neurons or 1) in SI units, by that of the population.
        """
        n_samples = as_int(n_samples, "n_samples", least=1)
        rng = np.random.default_rng(as_int(seed, "seed", least=0))
        sources = self._found.objects
        return {
            **{
                name: Spikes.concatenate([spikes] * n_samples)
                for name, spikes in self._generated.items()
            },
            **{
                name: drawn(sources[name], rates, n_samples, rng)
                for name, rates in self._rates.items()
            },
            **{
                name: {c: np.stack([v] * n_samples) for c, v in currents.items()}
                for name, currents in self._currents.items()
            },
        }

    def put_back(self, net) -> None:
        """Set trained weights, delays and parameters in the Brian2 objects.

        Weights and delays go to the ``Synapses`` that they were read from, a parameter
        that the equations declare to the ``NeuronGroup``. A constant of a namespace
        goes to the namespace of the one object that learned it, which Brian2 looks into
        first, so that no other object gets another value. A refractory period, and a
        number in ``on_pre``, are set where they stand. In double precision Brian2's
        spikes are then those of `net`; in single, rounding may move some.

        Parameters
        ----------
        net : DerivedNetwork
            Of `network`.

        Raises
        ------
        ValueError
            If it is of another network.
        """
        names = [connection.name for connection in self.network.connections]
        if list(net.connections) != names:
            raise ValueError(
                f"'net' must be of the network that was taken over, with connections "
                f"{', '.join(names)}, got {', '.join(net.connections)}."
            )
        learned = net.values()
        for name, connection in net.connections.items():
            weights = connection().detach().numpy()
            delays = learned.pop((name, "delay"), None)
            self._found.joined[name].put_back(weights, delays)
        for (name, parameter), value in learned.items():
            put_parameter(self._found.objects[name], parameter, value)
